"""Rates fall by the poly rule, with the published absolute floor."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssul.training.schedule import poly


@pytest.mark.parametrize(
    ("initial", "iteration", "iterations", "rate"),
    [
        (0.01, 0, 10, 0.01),
        (0.01, 5, 10, 0.0053588673),  # 0.01 * 0.5^0.9
        (1.0, 9, 10, 0.1258925412),  # 0.1^0.9
        (0.01, 10, 10, 1e-6),
        (1e-6, 0, 10, 1e-6),
        (1e-6, 9, 10, 1e-6),
        (1e-8, 5, 10, 1e-6),  # the published floor lifts what starts below it
    ],
)
def test_rates_by_hand(initial: float, iteration: int, iterations: int, rate: float) -> None:
    assert poly(initial, iteration, iterations) == pytest.approx(rate, rel=1e-8)


def test_the_background_heads_rate_on_voc_is_constant() -> None:
    assert [poly(0.01 * 1e-4, iteration, 500) for iteration in range(501)] == pytest.approx([1e-6] * 501)


def test_above_the_floor_it_is_torchs_polynomial_schedule() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.05)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=20, power=0.9)
    for iteration in range(20):
        assert poly(0.05, iteration, 20) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


@given(st.floats(1e-6, 1), st.integers(1, 1000), st.data())
def test_it_never_rises_above_its_start_or_falls_below_the_floor(
    initial: float, iterations: int, data: st.DataObject
) -> None:
    iteration = data.draw(st.integers(0, iterations - 1))
    now, later = poly(initial, iteration, iterations), poly(initial, iteration + 1, iterations)
    assert 1e-6 <= later <= now <= initial
