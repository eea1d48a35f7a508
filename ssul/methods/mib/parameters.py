"""MiB's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class MibParams(StrictModel):
    """MiB's settings."""

    void: Literal["background", "ignore"]
    """Whether an increment trains pixels that are not annotated as background, as the published code does on VOC, or
    ignores them."""
    distillation: Weight
    """The weight of the unbiased distillation."""
    freeze_norm: bool
    """Whether no BatchNorm learns or adapts in an increment."""


class Method(FusibleMethod):
    """MiB: its equations fix cross-entropy and have no unknown class."""

    name: Literal["mib"]
    loss: Literal["ce"]
    unknown: Literal[False]
    mib: MibParams
