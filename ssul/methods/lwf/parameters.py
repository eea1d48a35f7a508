"""LwF's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class LwfParams(StrictModel):
    """LwF's settings. distillation: its weight. freeze_norm: as for fine-tuning."""

    distillation: Weight
    freeze_norm: bool


class Method(FusibleMethod):
    """LwF: its equations fix cross-entropy and have no unknown class."""

    name: Literal["lwf"]
    loss: Literal["ce"]
    unknown: Literal[False]
    lwf: LwfParams
