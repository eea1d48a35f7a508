"""What processes that share a batch know together, with two processes whose other half is played by the test."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ssul.training import shared_batch
from ssul.training.shared_batch import batch_seed, batch_sum, rank_and_size


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
