"""What processes that share a batch know together, with two processes whose other half is played by the test."""

from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.training import shared_batch
from ssul.training.objective import Objective
from ssul.training.shared_batch import batch_seed, batch_sum, computed_in_turn, rank_and_size, valid_count
from tests.training.sharing import CASES, learn


class OtherProcess:
    """The process group of two, of which the other has `other`."""

    def __init__(self, other: Tensor | None = None) -> None:
        self.other = other

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def get_rank(self) -> int:
        return 1

    def get_world_size(self) -> int:
        return 2

    def all_reduce(self, total: Tensor) -> None:
        total += self.other

    def broadcast(self, shared: Tensor, src: int) -> None:
        assert src == 0
        shared.fill_(77)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda other=None: monkeypatch.setattr(shared_batch, "distributed", OtherProcess(other))


def test_one_process_knows_its_own() -> None:
    part = torch.tensor([1.0, 2.0], requires_grad=True)
    assert batch_sum(part) is part
    assert (rank_and_size(), batch_seed(5, torch.device("cpu"))) == ((0, 1), 5)


def test_counts_are_added(beside: Any) -> None:
    beside(torch.tensor(4))
    part = torch.tensor(3)
    assert batch_sum(part).item() == 7
    assert part.item() == 3


def test_all_take_the_first_processs_seed(beside: Any) -> None:
    beside()
    assert (rank_and_size(), batch_seed(5, torch.device("cpu"))) == ((1, 2), 77)


def test_the_mean_over_processes_of_the_gradients_of_a_function_of_the_sum_is_its_gradient(beside: Any) -> None:
    weight = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    parts = [lambda w: w * torch.tensor([1.0, 2.0]), lambda w: w**2]
    (together,) = torch.autograd.grad((parts[0](weight) + parts[1](weight)).norm(), weight)
    found = []
    for own, other in (parts, parts[::-1]):
        beside(other(weight).detach())
        total = batch_sum(own(weight))
        torch.testing.assert_close(total, parts[0](weight) + parts[1](weight))
        found += torch.autograd.grad(total.norm(), weight)
    torch.testing.assert_close((found[0] + found[1]) / 2, together)


# ---- parts computed in turn -----------------------------------------------------------------------------------------

TARGET = torch.tensor([[[VOID, 1], [1, 2]], [[VOID, VOID], [VOID, 3]]], dtype=torch.uint8)


def in_double(objective: Objective) -> Objective:
    """The objective and its teacher in double precision, and a little apart: PLOP's distance has no gradient at 0."""
    teacher: Any = getattr(objective, "_teacher", ())
    for part in (objective, *(teacher if isinstance(teacher, tuple) else (teacher._body, teacher._heads))):
        part.double()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return objective


@pytest.mark.parametrize("case", sorted({*CASES} - {"star", "mib, fused"}))
def test_a_batch_in_parts_trains_as_the_whole_batch(case: str) -> None:
    """Norms are frozen; the images have very different shares of void pixels."""
    double = Fabric(accelerator="cpu", devices=1, precision="64-true")
    weights, numbers = [], []
    for parts in (1, 2):
        objective, progress = learn(case, double, accumulate=parts, prepare=in_double)
        numbers.append([{"loss": state.loss, **state.parts} for state, _ in zip(progress, range(3), strict=False)])
        weights.append(objective.model.state_dict())
    for whole, divided in zip(*numbers, strict=True):
        assert divided == pytest.approx(whole, rel=1e-6)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-9, atol=1e-11, msg=name)


def test_valid_pixels_are_those_of_the_whole_batch_over_its_parts(beside: Any) -> None:
    with computed_in_turn(2, TARGET):
        assert [valid_count(part != VOID).item() for part in TARGET] == [2, 2]
        beside(torch.tensor(8))
        assert valid_count(TARGET[0] != VOID).item() == (4 + 8) / 4
    assert valid_count(TARGET != VOID).item() == (4 + 8) / 2


def test_a_loss_that_sums_over_the_batch_is_not_computed_in_parts(cpu: Fabric) -> None:
    _, progress = learn("star", cpu, accumulate=2)
    with pytest.raises(RuntimeError, match="needs the whole batch at once"):
        next(progress)
