"""STAR's parameters."""

from typing import Any, Literal

from ssul.config.base import Fraction, PositiveRate, StrictModel, Weight
from ssul.config.method import MethodParams


class StarParams(StrictModel):
    """STAR's settings."""

    distillation: Weight
    """The weight of the distillation of features of old classes."""
    separation: Weight
    """The weight of the distance between new classes and old prototypes."""
    newest_lr_ratio: PositiveRate
    """The newest classifier's rate is lr times this."""
    memory_threshold: Fraction
    """STAR-M: the previous network's score from which a candidate for the memory shows an old class."""


class Method(MethodParams):
    """STAR: its equations fix the binary cross-entropy of each step's classes, and there is no unknown class."""

    name: Literal["star"]
    loss: Literal["class_bce"]
    unknown: Literal[False]
    star: StarParams

    @property
    def sums_over_batch(self) -> bool:
        """See `MethodParams`: classes keep away from prototypes by the sum of their features over the batch."""
        return True

    @property
    def memory_threshold(self) -> float:
        """See `MethodParams`; nothing in training depends on it."""
        return self.star.memory_threshold

    def increment_arguments(self) -> dict[str, Any]:
        """See `MethodParams`."""
        return self.star.model_dump(exclude={"memory_threshold"}) | {"positive_weight": self.positive_weight}
