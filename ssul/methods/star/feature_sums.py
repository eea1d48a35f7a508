"""Sums over the features of some classes, from which their prototypes follow."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class FeatureSums:
    """Sums over the features f of n classes, in double precision; those of two sets added are those of both together.

    They are on the CPU, because not every device has double precision, or adds in the same order twice.

    Attributes:
        counts: int64 (n,), how many features.
        unit, unit_squares: float64 (n, C), of f / |f|, and of its squares in each channel.
        length, length_squares: float64 (n,), of |f|, and of its square.
    """

    counts: Tensor
    unit: Tensor
    unit_squares: Tensor
    length: Tensor
    length_squares: Tensor

    @classmethod
    def of(cls, features: Tensor, classes: Tensor, number: int) -> "FeatureSums":
        """The sums over a batch.

        Args:
            features: float (B, C, h, w).
            classes: int64 (B, h, w): 0..number-1; cells of any other value are left out.
            number: of the classes.
        """
        counted = (classes >= 0) & (classes < number)
        vectors = features.movedim(1, -1)[counted].cpu().double()
        members = functional.one_hot(classes[counted].cpu(), number).T
        unit, length = functional.normalize(vectors, dim=1), vectors.norm(dim=1)
        weights = members.double()
        return cls(members.sum(dim=1), weights @ unit, weights @ unit**2, weights @ length, weights @ length**2)

    def __add__(self, other: "FeatureSums") -> "FeatureSums":
        return FeatureSums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def prototypes(self) -> Tensor:
        """The unit vectors along the mean of f / |f|, float64 (n, C); 0 for a class without features."""
        return functional.normalize(self.unit, dim=1)

    @property
    def spread(self) -> Tensor:
        """The root of the mean of (f / |f| - prototype)² in each channel, float64 (n, C)."""
        number, prototypes = self._number[:, None], self.prototypes
        squares = (self.unit_squares - 2 * prototypes * self.unit) / number + prototypes**2
        return torch.where(self.counts[:, None] > 0, squares.clamp(min=0), 0).sqrt()

    @property
    def length_mean(self) -> Tensor:
        """The mean of |f|, float64 (n,)."""
        return self.length / self._number

    @property
    def length_std(self) -> Tensor:
        """The standard deviation of |f| (the root of the mean square), float64 (n,)."""
        return (self.length_squares / self._number - self.length_mean**2).clamp(min=0).sqrt()

    @property
    def _number(self) -> Tensor:
        return self.counts.clamp(min=1)
