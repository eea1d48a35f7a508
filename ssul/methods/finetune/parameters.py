"""Fine-tuning's parameters."""

from typing import Any, Literal

from ssul.config.base import StrictModel
from ssul.config.method import FusibleMethod


class FinetuneParams(StrictModel):
    """Fine-tuning's settings."""

    freeze_norm: bool
    """Whether no BatchNorm learns or adapts in an increment."""


class Method(FusibleMethod):
    """Fine-tuning: any loss."""

    name: Literal["finetune"]
    loss: Literal["bce", "ce", "focal"]
    finetune: FinetuneParams

    def increment_arguments(self) -> dict[str, Any]:
        """See `MethodParams`."""
        return self.own.model_dump() | {"loss": self.loss}
