"""STAR's parameters."""

from typing import Any, Literal

from ssul.config.base import Fraction, PositiveRate, StrictModel, Weight
from ssul.config.method import MethodParams


class StarParams(StrictModel):
    """STAR's settings.

    distillation: the weight of the distillation of features. separation: the weight of the distance between new classes
    and old prototypes. newest_lr_ratio: the newest classifier's rate is lr * ratio. memory_threshold: the score from
    which a candidate for the memory (STAR-M) shows an old class that is not annotated.
    """

    distillation: Weight
    separation: Weight
    newest_lr_ratio: PositiveRate
    memory_threshold: Fraction


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
