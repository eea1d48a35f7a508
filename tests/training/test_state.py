"""A training that is cut anywhere and resumed by another process equals the uncut one to the bit."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from ssul.training.loop import TrainingProgress
from ssul.training.objective import Objective
from ssul.training.state import StateMismatchError, TrainingState, capture, restore
from tests.training.sharing import CASES, ITERATIONS, learn


def train(
    case: str, start: TrainingState | None = None, *, until: int = ITERATIONS
) -> tuple[Objective, list[TrainingProgress]]:
    """Trains a case from its beginning or from a state."""
    objective, progress = learn(case, Fabric(accelerator="cpu", devices=1), start=start)
    return objective, list(islice(progress, until - (0 if start is None else start.iteration)))


def numbers(states: list[TrainingProgress]) -> list[tuple[int, float, float, Mapping[str, float]]]:
    return [(state.iteration, state.loss, state.lr, state.parts) for state in states]


def assert_equal_weights(one: nn.Module, other: nn.Module) -> None:
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_training_equals_the_uncut_one_to_the_bit(case: str) -> None:
    uncut, whole = train(case)
    for cut in (1, ITERATIONS - 1, ITERATIONS):
        _, before = train(case, until=cut)
        torch.manual_seed(cut)  # another process has another random state
        resumed, after = train(case, before[-1].capture())
        assert numbers(before) + numbers(after) == numbers(whole)
        assert_equal_weights(uncut, resumed)
    uncut.finish()
    resumed.finish()
    assert_equal_weights(uncut, resumed)


def half() -> Fabric:
    """Half precision on a CPU, whose scale doubles after every second iteration."""
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2)
    return Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu", scaler))


def test_in_half_precision_the_scale_of_gradients_resumes_too() -> None:
    uncut, progress = learn("increment", half())
    whole = [(state.loss, state.capture().tensors["scaling.scale"].item()) for state in progress]
    assert [scale for _, scale in whole] == [64, 128, 128, 256, 256, 512]
    cut = next(islice(learn("increment", half())[1], 2, None)).capture()
    resumed, after = learn("increment", half(), start=cut)
    assert [(state.loss, state.capture().tensors["scaling.scale"].item()) for state in after] == whole[3:]
    assert_equal_weights(uncut, resumed)
    with pytest.raises(StateMismatchError, match=r"scaling\..* is unknown"):
        learn("increment", Fabric(accelerator="cpu", devices=1), start=cut)


def test_a_training_may_be_cut_after_every_iteration() -> None:
    uncut, _ = train("base")
    state = None
    for until in range(1, ITERATIONS + 1):
        objective, progress = train("base", state, until=until)
        assert len(progress) == 1
        state = progress[0].capture()
    assert_equal_weights(uncut, objective)


def test_a_state_holds_no_frozen_weights() -> None:
    objective, progress = train("increment", until=1)
    frozen = {name for name, parameter in objective.named_parameters() if not parameter.requires_grad}
    assert any("backbone" in name for name in frozen)
    tensors = progress[-1].capture().tensors
    assert not {f"learned.{name}" for name in frozen} & set(tensors)
    assert {name for name in tensors if name.startswith("momentum.")} == {
        f"momentum.{name}" for name, parameter in objective.named_parameters() if parameter.requires_grad
    }


def test_a_state_does_not_change_when_the_training_continues() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    state = capture(model, stepped(model, optimizer), 1)
    kept = {name: tensor.clone() for name, tensor in state.tensors.items()}
    stepped(model, optimizer)
    torch.rand(3)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in state.tensors.items())
    assert not torch.equal(model.weight, kept["learned.weight"])


def test_momentum_has_the_memory_layout_of_its_weight() -> None:
    """The same sum over another layout may round differently."""
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    state = capture(model, optimizer, 1)
    assert all(tensor.is_contiguous() for tensor in state.tensors.values())
    again = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    restore(state, model, again)
    for parameter in model.parameters():
        buffer = again.state[parameter]["momentum_buffer"]
        assert buffer.stride() == parameter.stride()
        assert torch.equal(buffer, optimizer.state[parameter]["momentum_buffer"])
        assert not buffer.requires_grad


def test_a_state_holds_torchs_random_state() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(3)
    torch.rand(5)
    state = capture(model, optimizer, 1)
    expected = torch.rand(5)
    restore(state, model, optimizer)
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("learned.weight", None, "learned.weight is missing"),
        ("random.cpu", None, "random.cpu is missing"),
        ("learned.foreign", torch.zeros(1), "learned.foreign is unknown"),
        ("momentum.foreign", torch.zeros(1), "momentum.foreign is unknown"),
        ("learned.weight", torch.zeros(1, 3), "learned.weight has another shape"),
        ("momentum.bias", torch.zeros(1, dtype=torch.float64), "momentum.bias has another shape or type"),
    ],
)
def test_a_mismatched_state_is_refused_and_changes_nothing(name: str, tensor: Tensor | None, reason: str) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    tensors: dict[str, Any] = {
        **capture(model, stepped(model, optimizer), 1).tensors,
        "learned.bias": torch.full((1,), 9.0),
    }
    before = {key: value.clone() for key, value in model.state_dict().items()}
    tensors = {**tensors, name: tensor} if tensor is not None else {k: v for k, v in tensors.items() if k != name}
    with pytest.raises(StateMismatchError, match=reason):
        restore(TrainingState(1, tensors), model, optimizer)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    optimizer.zero_grad()
    model(torch.randn(4, 2)).square().sum().backward()
    optimizer.step()
    return optimizer
