"""Learning rates: poly with the published floor, poly with a warm-up, and by steps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssul.training.schedule import SCHEDULES, poly, step, warm_poly

STEPS = ((0, 0.5), (9_999, 0.5), (10_000, 0.05), (19_999, 0.05), (20_000, 0.005), (65_000, 5e-7))
POLY = [
    (0.01, 0, 0.01),
    (0.01, 5, 0.0053588673),  # 0.01 * 0.5^0.9
    (1.0, 9, 0.1258925412),  # 0.1^0.9
    (0.01, 10, 1e-6),
    (1e-6, 0, 1e-6),
    (1e-6, 9, 1e-6),
    (1e-8, 5, 1e-6),  # the published floor raises what starts below it
]
WARM = [
    (0, 0.001),
    (5, (0.001 + 0.999 * 5 / 10) * 0.95**0.9),  # half of the warm-up
    (9, (0.001 + 0.999 * 9 / 10) * 0.91**0.9),
    (10, 0.9**0.9),  # the end of the warm-up
    (11, 0.89**0.9),
    (50, 0.5**0.9),
    (99, 0.01**0.9),
    (100, 0.0),  # no floor
]


@pytest.mark.parametrize(("initial", "iteration", "rate"), POLY)
def test_poly_by_hand(initial: float, iteration: int, rate: float) -> None:
    assert poly(initial, iteration, 10) == pytest.approx(rate, rel=1e-8)


def test_the_background_heads_rate_on_voc_is_constant() -> None:
    assert [poly(0.01 * 1e-4, iteration, 500) for iteration in range(501)] == pytest.approx([1e-6] * 501)


def test_above_the_floor_poly_is_torchs_polynomial_schedule() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.05)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=20, power=0.9)
    for iteration in range(20):
        assert poly(0.05, iteration, 20) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


@given(st.floats(1e-6, 1), st.integers(1, 1000), st.data())
def test_poly_never_rises_and_never_falls_below_the_floor(initial: float, iterations: int, data: st.DataObject) -> None:
    iteration = data.draw(st.integers(0, iterations - 1))
    now, later = poly(initial, iteration, iterations), poly(initial, iteration + 1, iterations)
    assert 1e-6 <= later <= now <= initial


@pytest.mark.parametrize(("iteration", "factor"), WARM)
def test_warm_poly_by_hand(iteration: int, factor: float) -> None:
    assert warm_poly(0.05, iteration, 100) == pytest.approx(0.05 * factor)


@given(st.integers(1, 300), st.data())
def test_warm_poly_is_poly_after_the_first_tenth_and_never_above_it(iterations: int, data: st.DataObject) -> None:
    iteration = data.draw(st.integers(0, iterations - 1))
    rate, unwarmed = warm_poly(1.0, iteration, iterations), poly(1.0, iteration, iterations)
    assert 0 < rate <= unwarmed
    assert (rate == pytest.approx(unwarmed)) == (iteration >= max(1, iterations / 10) or iteration == iterations)


def test_warm_poly_warms_up_if_a_tenth_is_less_than_an_iteration_and_leaves_small_rates_small() -> None:
    assert [warm_poly(1.0, i, 3) for i in range(3)] == pytest.approx([0.001, (2 / 3) ** 0.9, (1 / 3) ** 0.9])
    assert warm_poly(1e-9, 50, 100) == pytest.approx(1e-9 * 0.5**0.9)


@pytest.mark.parametrize(("iteration", "rate"), STEPS)
def test_steps_by_hand(iteration: int, rate: float) -> None:
    assert step(0.5, iteration, 70_000) == pytest.approx(rate)


def test_a_schedule_is_found_by_its_name() -> None:
    assert {"poly": poly, "warm_poly": warm_poly, "step": step} == SCHEDULES
