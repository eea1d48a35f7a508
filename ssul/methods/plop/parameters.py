"""PLOP's parameters."""

from typing import Literal

from ssul.config.base import StrictModel, Weight
from ssul.config.method import FusibleMethod


class PlopParams(StrictModel):
    """PLOP's settings."""

    pod: Weight
    """The weight of local POD on each layer of the backbone."""
    pod_logits: Weight
    """The weight of local POD on the logits."""
    entropy: Literal["exact", "published"]
    """The pseudo-labels' thresholds: the medians of the entropy, or those of the published code, which over-normalises
    and takes wrong medians."""
    freeze_norm: bool
    """Whether no BatchNorm learns or adapts in an increment."""


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
