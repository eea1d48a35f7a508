"""MiB's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class MibParams(StrictModel):
    """MiB's settings.

    distillation: the weight of the unbiased distillation. void: whether an increment trains pixels that are not
    annotated as background, as the published code does on VOC, or ignores them. freeze_norm: as for fine-tuning.
    """

    void: Literal["background", "ignore"]
    distillation: Weight
    freeze_norm: bool


class Method(FusibleMethod):
    """MiB: its equations fix cross-entropy and have no unknown class."""

    name: Literal["mib"]
    loss: Literal["ce"]
    unknown: Literal[False]
    mib: MibParams
