"""ILT's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class IltParams(StrictModel):
    """ILT's settings."""

    distillation: Weight
    """The weight of the distillation of logits."""
    features: Weight
    """The weight of the distillation of the ASPP's output."""
    freeze_norm: bool
    """Whether no BatchNorm learns or adapts in an increment."""


class Method(FusibleMethod):
    """ILT: its equations fix cross-entropy and have no unknown class."""

    name: Literal["ilt"]
    loss: Literal["ce"]
    unknown: Literal[False]
    ilt: IltParams
