"""LwF's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class LwfParams(StrictModel):
    """LwF's settings."""

    distillation: Weight
    """The weight of the distillation of logits."""
    freeze_norm: bool
    """Whether no BatchNorm learns or adapts in an increment."""


class Method(FusibleMethod):
    """LwF: its equations fix cross-entropy and have no unknown class."""

    name: Literal["lwf"]
    loss: Literal["ce"]
    unknown: Literal[False]
    lwf: LwfParams
