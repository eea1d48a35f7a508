"""PLOP's thresholds as the published code computes them."""

import numpy as np


def published_threshold(counts: list[int]) -> float:
    """The published search: each bin's left border over 100 is what is compared, indexed, and added up."""
    half, running, left, place = np.float64(sum(counts)) / 2, 0.0, 0.0, 0
    if half == 0:
        return 0.0
    for k in range(len(counts)):
        left = k / len(counts)
        place = int(left * len(counts))  # 28 for k = 29, as the published code's floats have it
        if running <= half <= running + counts[place]:
            break
        running += left * len(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(left + (half - running) / np.float64(counts[place]) / len(counts))
