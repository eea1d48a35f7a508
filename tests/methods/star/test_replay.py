"""Replayed features: their distribution, and what a seed fixes."""

import pytest
import torch
from torch import Tensor

from ssul.methods.star import replay
from ssul.methods.star.replay import Replay
from tests.methods.star.past import kept_of_three


def replayed(*numbers: int, seeds: tuple[int, ...] | None = (7, 8)) -> Tensor:
    made = Replay(kept_of_three())
    made.numbers, made.seeds = torch.tensor(numbers), seeds
    found: Tensor = made()
    return found


def test_each_class_gets_its_number_of_features() -> None:
    kept, found = kept_of_three(), replayed(2, 0, 3)
    assert found.shape == (5, 16)
    generator = torch.Generator().manual_seed(7)  # the batch's first sample's
    around, along = (torch.randn(5, 16, generator=generator) for _ in range(2))
    for row, c in enumerate([0, 0, 2, 2, 2]):
        direction = kept.prototypes[c] + kept.spread[c] * around[row]
        expected = direction * (kept.length_mean[c] + kept.length_std[c] * along[row])
        torch.testing.assert_close(found[row], expected)


def test_in_every_channel_they_have_the_kept_mean_and_an_independent_length() -> None:
    kept, found = kept_of_three(), replayed(0, 40_000, 0).double()
    p, s, m, d = (getattr(kept, name)[1].double() for name in ("prototypes", "spread", "length_mean", "length_std"))
    torch.testing.assert_close(found.mean(0), p * m, rtol=0, atol=0.01)
    variance = (p**2 + s**2) * (m**2 + d**2) - (p * m) ** 2
    torch.testing.assert_close(found.var(0), variance, rtol=0.05, atol=1e-4)
    others = torch.corrcoef(found.T) - torch.eye(16)
    assert others.abs().max() < 0.03


def test_nothing_may_be_lacking() -> None:
    assert replayed(0, 0, 0).shape == (0, 16)


def test_a_seed_fixes_them_and_leaves_torchs_random_state_alone() -> None:
    state = torch.get_rng_state()
    one, same, other = replayed(3, 2, 1), replayed(3, 2, 1, seeds=(7, 9)), replayed(3, 2, 1, seeds=(8, 7))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_without_seeds_they_come_from_torchs_random_state() -> None:
    torch.manual_seed(7)
    one = replayed(3, 2, 1, seeds=None)
    assert not torch.equal(one, replayed(3, 2, 1, seeds=None))
    assert torch.equal(one, replayed(3, 2, 1))  # the same start


@pytest.mark.parametrize("processes", [2, 3, 8])
def test_several_processes_share_the_features_of_one(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    alone, shares = replayed(3, 1, 2), []
    for rank in range(processes):
        monkeypatch.setattr(replay, "rank_and_size", lambda at=rank: (at, processes))
        shares.append(replayed(3, 1, 2))
    assert sum(map(len, shares)) == 6
    assert {tuple(row.tolist()) for row in torch.cat(shares)} == {tuple(row.tolist()) for row in alone}
