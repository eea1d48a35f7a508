"""What the training loop asks of a method: a module that turns a batch into a loss."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.losses import binary_cross_entropy, cross_entropy, focal, valid_count

LossName = Literal["bce", "ce", "focal"]
"""The pixel losses: BCE belongs to sigmoids, the others to a softmax."""
Batch = tuple[Tensor, Tensor]
"""Normalised images, float (B, 3, H, W), and their target, uint8 (B, H, W): channels or VOID."""


class Loss(NamedTuple):
    """A batch's loss (a tuple: lightning-fabric walks through what a module returns, and refuses frozen dataclasses).

    Attributes:
        total: the scalar to minimise.
        parts: further detached scalars to show, by name.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """What one step of a method minimises; holds the network that learns and the meaning of its channels."""

    def __init__(self, model: IncrementalDeepLab, labels: LabelSpace) -> None:
        """Takes the network with the heads of this step, and the meaning of its channels."""
        super().__init__()
        self.model = model
        self.labels = labels

    def calibrate(self, batches: Iterable[Batch]) -> Iterator[int]:
        """Looks at the step's images before the training, if the method needs that; yields after each batch.

        Args:
            batches: one pass over the step's images; may be iterated several times, with the same content.
        """
        del batches
        return iter(())

    def parameter_groups(self, lr: float, *, backbone_ratio: float) -> list[dict[str, Any]]:
        """The optimiser's groups; a method may give parts of the network their own rates.

        Args:
            lr: rate of ASPP and heads.
            backbone_ratio: the backbone's rate is lr * backbone_ratio.
        """
        return self.model.parameter_groups(lr, backbone_ratio=backbone_ratio, low_lr_head=None, low_lr_ratio=1.0)

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """The loss of a batch.

        Args:
            images: normalised, float (B, 3, H, W).
            target: uint8 (B, H, W), channels or VOID.
        """
        raise NotImplementedError


class Supervised(Objective):
    """Learns the annotated classes and nothing else: the base step of every method, and fine-tuning at every step."""

    def __init__(self, model: IncrementalDeepLab, labels: LabelSpace, loss: LossName) -> None:
        """Takes the network, the meaning of its channels, and the loss."""
        super().__init__(model, labels)
        self.loss = loss

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        return Loss(pixel_loss(self.loss, self.model(images), target), label_statistics(target, target, self.labels))


class TeacherStudentObjective(Objective):
    """A step in which the network after the previous step is the teacher.

    Attributes:
        old: the meaning of the teacher's channels.
    """

    def __init__(
        self, model: IncrementalDeepLab, labels: LabelSpace, teacher: IncrementalDeepLab, old: LabelSpace
    ) -> None:
        """Takes student and teacher and the meaning of their channels; the teacher stays frozen."""
        super().__init__(model, labels)
        self.old = old
        self._teacher = (teacher.requires_grad_(False).eval(),)  # in a tuple: `train()` must not reach it

    def teacher(self, images: Tensor) -> IncrementalDeepLab:
        """The teacher, on the device of the images."""
        (teacher,) = self._teacher
        return teacher.to(images.device)


def label_statistics(target: Tensor, completed: Tensor, labels: LabelSpace) -> dict[str, Tensor]:
    """Shares of a batch's valid pixels, to watch a training.

    Args:
        target: uint8 (B, H, W), channels or VOID, as annotated.
        completed: the same with pseudo-labels.
        labels: the meaning of the channels.

    Returns:
        `pseudo_share` if the two are not the same tensor, `unknown_share` if there is an unknown class; in 0..1.
    """
    valid = valid_count(target != VOID)
    shares = {} if completed is target else {"pseudo_share": (completed != target).sum() / valid}
    if labels.unknown:
        shares["unknown_share"] = (completed == labels.unknown_channel).sum() / valid
    return shares


def pixel_loss(name: LossName, logits: Tensor, target: Tensor) -> Tensor:
    """A batch's loss by its name; logits float (B, K, H, W), target uint8 (B, H, W)."""
    return {"bce": binary_cross_entropy, "ce": cross_entropy, "focal": focal}[name](logits, target)
