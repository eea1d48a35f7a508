"""SSUL's parameters."""

from typing import Any, Literal

from ssul.config.base import Fraction, PositiveRate, StrictModel
from ssul.config.method import MethodParams


class SsulParams(StrictModel):
    """SSUL's parts; each can be switched off. They act from step 1 on.

    pseudo_threshold: the previous network labels background where a score reaches it; null: no pseudo-labels. freeze:
    only the newest, the unknown and the background head learn. weight_transfer: a new head starts as a copy of the
    unknown head. background_lr_ratio: the background head's rate is lr * ratio, with freeze and unknown. learn_unknown:
    false leaves unknown and background as they are, with freeze; then an old class loses pixels to new ones alone.
    """

    pseudo_threshold: Fraction | None
    freeze: bool
    freeze_norm: bool
    weight_transfer: bool
    background_lr_ratio: PositiveRate
    learn_unknown: bool


class Method(MethodParams):
    """SSUL: any loss, with or without the unknown class."""

    name: Literal["ssul"]
    loss: Literal["bce", "ce", "focal"]
    ssul: SsulParams

    @property
    def freezes_features(self) -> bool:
        """See `MethodParams`."""
        return self.ssul.freeze

    @property
    def memory_threshold(self) -> float | None:
        """See `MethodParams`; that of the pseudo-labels of training."""
        return self.ssul.pseudo_threshold

    def increment_arguments(self) -> dict[str, Any]:
        """See `MethodParams`."""
        return self.own.model_dump() | {"loss": self.loss}
