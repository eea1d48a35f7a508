"""The confusion matrix: integer and additive; every score is computed from it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssul.labels.ids import VOID


@dataclass(frozen=True)
class ConfusionMatrix:
    """Pixel counts int64 (K, K): rows are the ground truth, columns the prediction."""

    counts: Tensor

    @classmethod
    def empty(cls, classes: int) -> "ConfusionMatrix":
        """Zero counts for `classes` classes, background included."""
        return cls(torch.zeros(classes, classes, dtype=torch.int64))

    @classmethod
    def of(cls, truth: Tensor, prediction: Tensor, classes: int) -> "ConfusionMatrix":
        """Counts the pixels of one or more images, on their device.

        Args:
            truth: uint8, any shape, 0..classes-1, or VOID.
            prediction: uint8, same shape and device, 0..classes-1.
            classes: K.
        """
        pairs = (truth.int() * classes + prediction).flatten()
        counts = torch.bincount(pairs, minlength=(VOID + 1) * classes).reshape(-1, classes)
        return cls(counts[:classes])  # dropping the row of void is cheaper than selecting the other pixels

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        return ConfusionMatrix(self.counts + other.counts.to(self.counts.device))

    def cpu(self) -> "ConfusionMatrix":
        """The same counts in the CPU's memory."""
        return ConfusionMatrix(self.counts.cpu())

    def without_background(self) -> "ConfusionMatrix":
        """The counts (K-1, K-1) of the classes alone."""
        return ConfusionMatrix(self.counts[1:, 1:])

    def iou(self) -> list[float | None]:
        """Intersection over union of each class; None if it is neither in the ground truth nor predicted."""
        hit = self.counts.diag()
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        return _ratios(hit, union)

    def accuracy(self) -> list[float | None]:
        """Share of each class's pixels that are predicted right; None if it is not in the ground truth."""
        return _ratios(self.counts.diag(), self.counts.sum(1))

    def pixel_accuracy(self) -> float | None:
        """Share of all pixels that are predicted right; None if there are none."""
        return _ratios(self.counts.diag().sum()[None], self.counts.sum()[None])[0]


def _ratios(part: Tensor, whole: Tensor) -> list[float | None]:
    return [p / w if w else None for p, w in zip(part.tolist(), whole.tolist(), strict=True)]
