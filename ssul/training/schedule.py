"""Learning-rate schedules of a step."""

import math
from collections.abc import Callable
from typing import Literal

POLY_POWER = 0.9
POLY_FLOOR = 1e-6
WARM_SHARE = 0.1
WARM_START = 0.001
STEP_LENGTH = 10_000
STEP_FACTOR = 0.1

Schedule = Callable[[float, int, int], float]
"""(initial rate, iteration i in 0..I, number of iterations I) -> the rate at iteration i."""
ScheduleName = Literal["poly", "warm_poly", "step"]


def poly(initial: float, iteration: int, iterations: int) -> float:
    """The rate at an iteration: initial * (1 - i/I)^0.9, never below the absolute floor 1e-6 (the published code's).

    Args:
        initial: rate at iteration 0.
        iteration: i in 0..iterations.
        iterations: I.
    """
    return max(initial * math.pow(1.0 - iteration / iterations, POLY_POWER), POLY_FLOOR)


def warm_poly(initial: float, iteration: int, iterations: int) -> float:
    """Poly without a floor, times a linear warm-up from 0.001 to 1 over the first tenth (SSUL on ADE20K).

    Arguments as in `poly`.
    """
    warm = max(1.0, WARM_SHARE * iterations)
    factor = min(1.0, WARM_START + (1.0 - WARM_START) * iteration / warm)
    return initial * factor * math.pow(1.0 - iteration / iterations, POLY_POWER)


def step(initial: float, iteration: int, iterations: int) -> float:
    """A tenth of the rate after every 10,000 iterations. Arguments as in `poly`."""
    del iterations
    return initial * STEP_FACTOR ** (iteration // STEP_LENGTH)


SCHEDULES: dict[ScheduleName, Schedule] = {"poly": poly, "warm_poly": warm_poly, "step": step}
