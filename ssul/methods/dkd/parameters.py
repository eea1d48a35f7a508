"""DKD's parameters."""

from typing import Any, Literal

from ssul.config.base import Fraction, PositiveRate, StrictModel, Weight
from ssul.config.method import MethodParams


class DkdParams(StrictModel):
    """DKD's settings of an increment."""

    positive_weight: PositiveRate
    """Of a new class's own pixels in its term; the base step's is `method.positive_weight`."""
    distillation: Weight
    """The weight of the distillation of logits."""
    decomposed: Weight
    """The weight of each half of the decomposed distillation."""
    other_decay: Weight
    """The weight decay of everything but the newest head, which has the recipe's."""
    memory_threshold: Fraction
    """DKD-M: the previous network's score from which a candidate for the memory shows a class."""


class Method(MethodParams):
    """DKD: sigmoids beside a constant background, and the auxiliary class in the unknown's place."""

    name: Literal["dkd"]
    loss: Literal["class_bce"]
    unknown: Literal[True]
    dkd: DkdParams

    @property
    def memory_threshold(self) -> float:
        """See `MethodParams`; nothing in training depends on it."""
        return self.dkd.memory_threshold

    def increment_arguments(self) -> dict[str, Any]:
        """See `MethodParams`."""
        return self.own.model_dump(exclude={"memory_threshold"})
