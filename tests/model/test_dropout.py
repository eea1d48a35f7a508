"""Dropout by sample: what a seed fixes, and what dropout does."""

import pytest
import torch
from torch import nn

from ssul.model.dropout import SampleDropout


def dropout(p: float, *seeds: int) -> SampleDropout:
    """Dropout in training mode; without seeds it draws from torch's random state."""
    made = SampleDropout(p).train()
    made.seeds = seeds or None
    return made


def test_a_sample_drops_the_same_values_in_whichever_batch_it_is() -> None:
    x = torch.ones(4, 8, 5, 6)
    together = dropout(0.5, 11, 12, 13, 14)(x)
    apart = torch.cat([dropout(0.5, 12, 14)(x[:2]), dropout(0.5, 13, 11)(x[:2])])
    assert torch.equal(together, apart[[3, 0, 2, 1]])


def test_it_neither_draws_from_nor_sets_torchs_random_state() -> None:
    state = torch.get_rng_state()
    dropout(0.5, 1, 2)(torch.ones(2, 3, 4, 4))
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_with_other_seeds_drop_other_values() -> None:
    one, other = dropout(0.5, 1, 2)(torch.ones(2, 8, 8, 8))
    assert not torch.equal(one, other)


def test_kept_values_grow_so_that_the_mean_stays_and_gradients_pass_through_them() -> None:
    x = (torch.rand(2, 64, 20, 20) + 0.5).requires_grad_()
    dropped = dropout(0.1, 3, 4)(x)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], x[kept] / 0.9)
    assert kept.float().mean().item() == pytest.approx(0.9, abs=0.01)
    dropped.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, kept / 0.9)


def test_in_evaluation_and_with_nothing_to_drop_it_does_nothing() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert dropout(0.5, 1, 2).eval()(x) is x
    assert dropout(0.0, 1, 2)(x) is x


def test_without_seeds_it_is_the_usual_dropout() -> None:
    x = torch.rand(2, 3, 4, 4)
    torch.manual_seed(5)
    usual = nn.Dropout(0.3)(x)
    torch.manual_seed(5)
    assert torch.equal(dropout(0.3)(x), usual)


def test_seeds_must_be_as_many_as_samples() -> None:
    with pytest.raises(ValueError, match="2 seeds for a batch of 3"):
        dropout(0.3, 1, 2)(torch.rand(3, 3, 4, 4))
