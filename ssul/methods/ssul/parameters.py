"""SSUL's parameters."""

from typing import Any, Literal, Self

from pydantic import model_validator

from ssul.config.base import Fraction, PositiveRate, StrictModel
from ssul.config.method import MethodParams


class SsulParams(StrictModel):
    """SSUL's parts; each can be switched off. They act from step 1 on."""

    pseudo_threshold: Fraction | None
    """The previous network labels background where a score reaches it; null: no pseudo-labels."""
    freeze: bool
    """Whether only the newest, the unknown and the background head learn."""
    freeze_norm: bool
    """Whether no BatchNorm learns or adapts in an increment."""
    weight_transfer: bool
    """Whether a new head starts as a copy of the unknown head."""
    background_lr_ratio: PositiveRate
    """The background head's rate is lr times this, with freeze and unknown."""
    learn_unknown: bool
    """False: with freeze, unknown and background stay as they are, and give way to new classes."""


class Method(MethodParams):
    """SSUL: any loss, with or without the unknown class."""

    name: Literal["ssul"]
    loss: Literal["bce", "ce", "focal"]
    ssul: SsulParams

    @model_validator(mode="after")
    def _sigmoids_alone_give_way(self) -> Self:
        if self.ssul.freeze and self.unknown and not self.ssul.learn_unknown and self.loss != "bce":
            raise ValueError(
                f"method.ssul.learn_unknown is false, but method.loss is {self.loss}: the unknown gives way to new "
                "classes by the probabilities of sigmoids, so set method.loss=bce, or method.ssul.learn_unknown=true"
            )
        return self

    @property
    def freezes_features(self) -> bool:
        """See `MethodParams`."""
        return self.ssul.freeze

    @property
    def memory_threshold(self) -> float | None:
        """See `MethodParams`; that of the pseudo-labels of training."""
        return self.ssul.pseudo_threshold

    @property
    def adds_pseudo_labels(self) -> bool:
        """See `MethodParams`."""
        return self.ssul.pseudo_threshold is not None

    def increment_arguments(self) -> dict[str, Any]:
        """See `MethodParams`."""
        return self.own.model_dump() | {"loss": self.loss}
