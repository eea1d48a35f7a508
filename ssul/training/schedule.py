"""How rates fall over a step."""

import math

POLY_POWER = 0.9
POLY_FLOOR = 1e-6


def poly(initial: float, iteration: int, iterations: int) -> float:
    """The rate at an iteration: initial * (1 - i/I)^0.9, never below the absolute floor 1e-6 (the published code's).

    Args:
        initial: rate at iteration 0.
        iteration: i in 0..iterations.
        iterations: I.
    """
    return max(initial * math.pow(1.0 - iteration / iterations, POLY_POWER), POLY_FLOOR)
