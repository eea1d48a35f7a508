"""PLOP's entropies and their medians."""

import math
from typing import Literal

import torch
from torch import Tensor

Entropy = Literal["exact", "published"]
_COARSE, _FINE = 1 << 15, 1 << 16  # bins of a float's upper and lower bits; entropies are positive


def normalised_entropy(probabilities: Tensor) -> Tensor:
    """Entropy over the channels in 0..1: 1 where all are equally likely; float (B, K, H, W) -> (B, H, W)."""
    entropy: Tensor = torch.special.entr(probabilities).sum(dim=1)
    return entropy / math.log(probabilities.shape[1])


def published_entropy(probabilities: Tensor) -> Tensor:
    """The published code's entropy: the mean over the K channels instead of the sum, so it is K times smaller."""
    logs = torch.log(probabilities + 1e-8)
    return -torch.mean(probabilities * logs, dim=1) / math.log(probabilities.shape[1] + 1e-8)


class ExactMedians:
    """Exact lower medians of the values of each class, in two passes over them."""

    passes = 2

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.coarse = torch.zeros(classes, _COARSE, dtype=torch.int64)
        self.fine = torch.zeros(classes, _FINE, dtype=torch.int64)
        self.upper: Tensor | None = None
        self.rank = torch.zeros(classes, dtype=torch.int64)

    def add(self, values: Tensor, classes: Tensor) -> None:
        """Takes values float (N,) of at least 0, and their classes, integers (N,)."""
        positive = values.float().cpu().clamp(min=0.0) + 0.0  # turns -0.0, whose sign is a bit, into 0.0
        bits = positive.contiguous().view(torch.int32).long()
        classes = classes.cpu()
        upper, lower = bits >> 16, bits & 0xFFFF
        if self.upper is None:
            self.coarse += _counts(classes, upper, self.classes, _COARSE)
        else:
            near = upper == self.upper[classes]
            self.fine += _counts(classes[near], lower[near], self.classes, _FINE)

    def next_pass(self) -> None:
        """Ends a pass."""
        if self.upper is None:
            self.upper, self.rank = _position(self.coarse, (self.coarse.sum(dim=1) - 1) // 2)

    def medians(self) -> Tensor:
        """The lower median of each class, float (classes,); 0 where there was no value."""
        assert self.upper is not None
        lower, _ = _position(self.fine, self.rank)
        found = ((self.upper << 16) | lower).to(torch.int32).view(torch.float32)
        return torch.where(self.coarse.sum(dim=1) > 0, found, 0.0)


class PublishedMedians:
    """The published thresholds: a histogram of 100 bins in which bin indices are added up instead of counts."""

    passes, bins = 1, 100

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes, self.bins, dtype=torch.int64)

    def add(self, values: Tensor, classes: Tensor) -> None:
        """Takes values float (N,) in 0..1, and their classes, integers (N,)."""
        places = (values.cpu() * self.bins).long().clamp(max=self.bins - 1)
        self.counts += _counts(classes.cpu(), places, *self.counts.shape)

    def next_pass(self) -> None:
        """Ends the pass."""

    def medians(self) -> Tensor:
        """The threshold of each class, float (classes,)."""
        return torch.tensor([published_median(counts.tolist()) for counts in self.counts])


def published_median(counts: list[int]) -> float:
    """The published code's median of a histogram over 0..1: its running sum adds indices of bins instead of counts.

    If it finds no bin, it divides by the count of the last one, which may be 0. With infinity as the result all pixels
    are accepted, with a result below 0 none.
    """
    half, running, border, bins = sum(counts) / 2, 0.0, 0.0, len(counts)
    if half == 0:
        return 0.0
    for place in range(bins):
        border = place / bins
        if running <= half <= running + counts[int(border * bins)]:  # 28 for place 29, by rounding, as published
            break
        running += border * bins
    return border + (torch.tensor(half - running) / counts[int(border * bins)]).item() / bins


def _counts(rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    return torch.bincount(rows * width + columns, minlength=height * width).view(height, width)


def _position(counts: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """The bin in which the value of a rank (from 0) lies, row by row, and its rank within the bin."""
    before = counts.cumsum(dim=1)
    place = (before <= rank[:, None]).sum(dim=1).clamp(max=counts.shape[1] - 1)
    return place, rank - (before - counts).gather(1, place[:, None])[:, 0]
