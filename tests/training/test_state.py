"""A training that is cut anywhere and gone on with by another process is, to the bit, the one that was never cut."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ssul.training.loop import TrainingProgress, learn_step
from ssul.training.objective import Objective
from ssul.training.state import StateMismatchError, TrainingState, capture, restore
from tests.training.sharing import CASES, ITERATIONS, ORDER, batches, objective_of


def go_on(
    case: str, begin: TrainingState | None, *, until: int = ITERATIONS
) -> tuple[Objective, list[TrainingProgress]]:
    """Trains a case from its beginning or from a state, with an objective of its own."""
    objective, channels = objective_of(case)
    learned = []
    progress = learn_step(
        objective,
        batches(channels, range(4))[0 if begin is None else begin.iteration :],
        objective.model.parameter_groups(0.02, backbone_ratio=0.5, low_lr_head=1, low_lr_ratio=0.1),
        fabric=Fabric(accelerator="cpu", devices=1),
        iterations=ITERATIONS,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="poly",
        seeds=ORDER.dropout_seeds,
        resume_from=begin,
    )
    for state in progress:
        learned.append(state)
        if state.iteration == until:
            break
    return objective, learned


def told(learned: list[TrainingProgress]) -> list[tuple[int, float, float, Mapping[str, float]]]:
    return [(state.iteration, state.loss, state.lr, state.parts) for state in learned]


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_is_cut_and_gone_on_with_is_the_uncut_one_to_the_bit(case: str) -> None:
    uncut, whole = go_on(case, None)
    for cut in (1, ITERATIONS - 1, ITERATIONS):
        _, before = go_on(case, None, until=cut)
        torch.manual_seed(cut)  # another process draws other numbers
        gone_on, after = go_on(case, before[-1].capture())
        assert told(before) + told(after) == told(whole)
        for name, tensor in uncut.state_dict().items():
            assert torch.equal(gone_on.state_dict()[name], tensor), name


def test_a_training_may_be_cut_many_times() -> None:
    uncut, _ = go_on("base", None)
    state = None
    for until in range(1, ITERATIONS + 1):
        objective, learned = go_on("base", state, until=until)
        assert len(learned) == 1
        state = learned[-1].capture()
    assert all(torch.equal(objective.state_dict()[name], tensor) for name, tensor in uncut.state_dict().items())


def test_what_is_frozen_is_no_part_of_a_state() -> None:
    objective, learned = go_on("increment", None, until=1)
    frozen = {name for name, parameter in objective.named_parameters() if not parameter.requires_grad}
    assert any("backbone" in name for name in frozen)
    tensors = learned[-1].capture().tensors
    assert not {f"learned.{name}" for name in frozen} & set(tensors)
    assert {name for name in tensors if name.startswith("momentum.")} == {
        f"momentum.{name}" for name, parameter in objective.named_parameters() if parameter.requires_grad
    }


def test_a_state_stays_as_it_was_when_the_training_goes_on() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    state = capture(model, stepped(model, optimizer), 1)
    kept = {name: tensor.clone() for name, tensor in state.tensors.items()}
    stepped(model, optimizer)
    torch.rand(3)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in state.tensors.items())
    assert not torch.equal(model.weight, kept["learned.weight"])


def test_momentum_is_laid_out_as_its_weight_is() -> None:
    """The same sum over another layout may be rounded otherwise."""
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


def test_torchs_random_state_is_part_of_it() -> None:
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
def test_the_state_of_another_training_is_refused_and_changes_nothing(
    name: str, tensor: Tensor | None, reason: str
) -> None:
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
    """Takes a step."""
    optimizer.zero_grad()
    model(torch.randn(4, 2)).square().sum().backward()
    optimizer.step()
    return optimizer
