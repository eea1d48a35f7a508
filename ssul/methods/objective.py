"""What the training loop asks of a method: a module that turns a batch into a loss."""

from typing import NamedTuple

from torch import Tensor, nn

from ssul.labels import LabelSpace
from ssul.methods.losses import binary_cross_entropy, cross_entropy
from ssul.model.deeplab import IncrementalDeepLab


class Loss(NamedTuple):
    """A batch's loss (a tuple: lightning-fabric walks through what a module returns, and refuses frozen dataclasses).

    Attributes:
        total: the scalar to minimise.
        parts: detached scalars worth showing, by name.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """What one step of a method minimises; holds the network that learns and the meaning of its channels."""

    def __init__(self, model: IncrementalDeepLab, labels: LabelSpace) -> None:
        """Takes the network as it enters the step, already grown."""
        super().__init__()
        self.model = model
        self.labels = labels

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """The loss of a batch.

        Args:
            images: normalised, float (B, 3, H, W).
            target: uint8 (B, H, W), channels or VOID.
        """
        raise NotImplementedError


class Supervised(Objective):
    """Learns the annotated classes and nothing else: the base step of every method, and fine-tuning at every step."""

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        return Loss(pixel_loss(self.labels, self.model(images), target), {})


def pixel_loss(labels: LabelSpace, logits: Tensor, target: Tensor) -> Tensor:
    """The loss that belongs to a label space's activation: BCE for sigmoids, CE for a softmax."""
    if labels.activation == "sigmoid":
        return binary_cross_entropy(logits, target)
    return cross_entropy(logits, target)
