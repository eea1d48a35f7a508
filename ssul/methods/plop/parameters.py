"""PLOP's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class PlopParams(StrictModel):
    """PLOP's settings, see `ssul.methods.plop.increment`."""

    pod: Weight
    pod_logits: Weight
    entropy: Literal["exact", "published"]
    freeze_norm: bool


class Method(FusibleMethod):
    """PLOP: its equations fix cross-entropy and have no unknown class."""

    name: Literal["plop"]
    loss: Literal["ce"]
    unknown: Literal[False]
    plop: PlopParams

    @property
    def adds_pseudo_labels(self) -> bool:
        """See `MethodParams`."""
        return True
