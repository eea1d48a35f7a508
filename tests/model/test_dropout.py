"""Dropout by sample: what a seed fixes, and what dropout does."""

import pytest
import torch
from torch import nn

from ssul.model.dropout import SampleDropout


def dropping(p: float, *seeds: int) -> SampleDropout:
    dropout = SampleDropout(p).train()
    dropout.seeds = seeds or None
    return dropout


def test_a_sample_drops_the_same_values_in_whichever_batch_it_is() -> None:
    x = torch.ones(4, 8, 5, 6)
    together = dropping(0.5, 11, 12, 13, 14)(x)
    apart = torch.cat([dropping(0.5, 12, 14)(x[:2]), dropping(0.5, 13, 11)(x[:2])])
    assert torch.equal(together, apart[[3, 0, 2, 1]])


def test_it_neither_draws_from_nor_sets_torchs_random_state() -> None:
    state = torch.get_rng_state()
    dropping(0.5, 1, 2)(torch.ones(2, 3, 4, 4))
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_with_other_seeds_drop_other_values() -> None:
    one, other = dropping(0.5, 1, 2)(torch.ones(2, 8, 8, 8))
    assert not torch.equal(one, other)


def test_what_is_kept_grows_so_that_the_mean_stays() -> None:
    x = torch.rand(2, 64, 20, 20) + 0.5
    apply_dropout = dropping(0.1, 3, 4)(x)
    kept = apply_dropout != 0
    torch.testing.assert_close(apply_dropout[kept], x[kept] / 0.9)
    assert kept.float().mean().item() == pytest.approx(0.9, abs=0.01)


def test_gradients_pass_where_values_are_kept() -> None:
    x = torch.ones(1, 4, 3, 3, requires_grad=True)
    apply_dropout = dropping(0.5, 9)(x)
    apply_dropout.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, apply_dropout.detach())


def test_in_evaluation_and_with_nothing_to_drop_it_does_nothing() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert dropping(0.5, 1, 2).eval()(x) is x
    assert dropping(0.0, 1, 2)(x) is x


def test_without_seeds_it_is_the_usual_dropout() -> None:
    x = torch.rand(2, 3, 4, 4)
    torch.manual_seed(5)
    usual = nn.Dropout(0.3)(x)
    torch.manual_seed(5)
    assert torch.equal(dropping(0.3)(x), usual)


def test_seeds_must_be_as_many_as_samples() -> None:
    with pytest.raises(ValueError, match="2 seeds for a batch of 3"):
        dropping(0.3, 1, 2)(torch.rand(3, 3, 4, 4))
