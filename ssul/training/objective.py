"""What the training loop asks of a method: a module that turns a batch into a loss."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.fusion import WeightFusion
from ssul.training.losses import (
    binary_cross_entropy,
    class_binary_cross_entropy,
    cross_entropy,
    focal,
)
from ssul.training.shared_batch import valid_count

LossName = Literal["bce", "ce", "focal"]
"""The pixel losses of all channels: BCE belongs to sigmoids, the others to a softmax."""
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


class FixedPart(NamedTuple):
    """What a step computes of a batch without anything that learns, where backbone and ASPP are frozen.

    Attributes:
        aspp: float (B, C, h, w), the ASPP's output before dropout.
        low_level: float (B, 48, h', w'), see `Features`; None without V3+.
        completed: uint8 (B, H, W), the target with the teacher's pseudo-labels; None where there are none.
    """

    aspp: Tensor
    low_level: Tensor | None
    completed: Tensor | None


class Objective(nn.Module):
    """What one step of a method minimises; holds the network that learns and the meaning of its channels.

    Attributes:
        fusion: what the weights after the training are fused with; None leaves them as they are.
    """

    fusion: WeightFusion | None = None

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

    def finish(self) -> None:
        """Changes the weights once after the last iteration, before they are saved; here by the fusion."""
        if self.fusion is not None:
            self.fusion.apply(self.model)

    def outputs(self) -> dict[str, Tensor]:
        """What a step leaves beside its weights, by name; the method's `remember` gets it before the next step."""
        return {}

    def parameter_groups(self, lr: float, *, backbone_ratio: float) -> list[dict[str, Any]]:
        """The optimiser's groups; a method may give parts of the network their own `lr` and `weight_decay`.

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

    def fixed_part(self, images: Tensor, target: Tensor) -> FixedPart:
        """What stays the same in all iterations, of a step whose `MethodParams.freezes_features` is true.

        Args:
            images, target: as in `forward`, which is `learn` of this part.
        """
        raise NotImplementedError

    def learn(self, fixed: FixedPart, target: Tensor) -> Loss:
        """The loss of a batch whose fixed part is known."""
        raise NotImplementedError


class FixedObjective(nn.Module):
    """An objective as a module of what `Objective.learn` takes, for the training loop."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, fixed: FixedPart, target: Tensor) -> Loss:
        """See `Objective.learn`."""
        return self.objective.learn(fixed, target)


class Supervised(Objective):
    """Learns the annotated classes and nothing else: the base step of every method, and fine-tuning at every step."""

    def __init__(self, model: IncrementalDeepLab, labels: LabelSpace, loss: LossName) -> None:
        """Takes the network, the meaning of its channels, and the loss."""
        super().__init__(model, labels)
        self.loss = loss

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        return Loss(pixel_loss(self.loss, self.model(images), target), label_statistics(target, target, self.labels))


class SupervisedClasses(Objective):
    """Learns the annotated classes beside a constant background: the base step of DKD and STAR.

    An unknown class is auxiliary: it learns to be nowhere, on features that it does not change.
    """

    learning_channels: Tensor

    def __init__(self, model: IncrementalDeepLab, labels: LabelSpace, positive_weight: float) -> None:
        """Takes the network, the meaning of its channels, and the weight of a class's own pixels."""
        super().__init__(model, labels)
        self.positive_weight = positive_weight
        self.learning_heads = range(labels.background_head + 1, len(labels.head_sizes))
        channels = torch.tensor(labels.channels_of_heads(self.learning_heads))
        self.register_buffer("learning_channels", channels, persistent=False)

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        seen = self.model.head_input(self.model.apply_dropout(self.model.features(images)))
        logits = self.model.upsample(self.model.classify_input(seen, self.learning_heads), images)
        learned = class_binary_cross_entropy(logits, target, self.learning_channels, self.positive_weight)
        if not self.labels.unknown:
            return Loss(learned, {})
        auxiliary = auxiliary_loss(self.model, self.labels, seen, images)
        return Loss(learned + auxiliary, {"classes": learned.detach(), "auxiliary": auxiliary.detach()})


def auxiliary_loss(model: IncrementalDeepLab, labels: LabelSpace, seen: Tensor, images: Tensor) -> Tensor:
    """The loss of the auxiliary class, which is nowhere: the mean of -log(1 - sigmoid) (DKD).

    Args:
        model: the network.
        labels: the meaning of its channels, with an unknown class.
        seen: float (B, C, h, w), the heads' input. Its gradient is left out, so that only this head learns.
        images: (B, 3, H, W); only their size counts.
    """
    logits = model.classify_input(seen.detach(), [labels.unknown_head])
    return functional.softplus(model.upsample(logits, images)).mean()


def base_objective(
    model: IncrementalDeepLab, labels: LabelSpace, loss: LossName | Literal["class_bce"], positive_weight: float
) -> Objective:
    """What the base step minimises."""
    return SupervisedClasses(model, labels, positive_weight) if loss == "class_bce" else Supervised(model, labels, loss)


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
