"""LwF-MC's parameters."""

from typing import Literal

from ssul.config.base import StrictModel
from ssul.config.method import FusibleMethod


class LwfMcParams(StrictModel):
    """LwF-MC's settings."""

    freeze_norm: bool
    """Whether no BatchNorm learns or adapts in an increment."""


class Method(FusibleMethod):
    """LwF-MC: its equations fix sigmoids and have no unknown class."""

    name: Literal["lwf_mc"]
    loss: Literal["bce"]
    unknown: Literal[False]
    lwf_mc: LwfMcParams
