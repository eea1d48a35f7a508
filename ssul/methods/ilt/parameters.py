"""ILT's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class IltParams(StrictModel):
    """ILT's settings. distillation, features: the weights of its two distillations. freeze_norm: as for fine-tuning."""

    distillation: Weight
    features: Weight
    freeze_norm: bool


class Method(FusibleMethod):
    """ILT: its equations fix cross-entropy and have no unknown class."""

    name: Literal["ilt"]
    loss: Literal["ce"]
    unknown: Literal[False]
    ilt: IltParams
