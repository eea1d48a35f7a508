"""SSUL's increments (Cha et al., NeurIPS 2021, section 3); each part can be turned off.

With every part off they are plain sequential training: fine-tuning.
"""

import copy
from typing import Any

import torch
from torch import Tensor

from ssul.inference.pseudo_labels import add_pseudo_labels_low_res
from ssul.labels.space import LabelSpace
from ssul.methods.ssul.frozen_teacher import FrozenTeacher
from ssul.model.deeplab import Features, IncrementalDeepLab
from ssul.training.losses import binary_cross_entropy
from ssul.training.objective import (
    FixedPart,
    Loss,
    LossName,
    Objective,
    Supervised,
    TeacherStudentObjective,
    label_statistics,
    pixel_loss,
)


def prepare_increment(
    model: IncrementalDeepLab,
    old: LabelSpace,
    new: tuple[int, ...],
    *,
    weight_transfer: bool,
    freeze: bool,
    freeze_norm: bool,
    pseudo_threshold: float | None,
    loss: LossName,
    background_lr_ratio: float = 1.0,
    learn_unknown: bool = True,
) -> Objective:
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels.
        new: the dataset ids of the classes to learn.
        weight_transfer: the new head starts as a copy of the unknown head (needs one).
        freeze: only the newest, the unknown and the background head learn; without an unknown head only the newest.
        freeze_norm: no BatchNorm learns or adapts.
        pseudo_threshold: score in 0..1 from which the old network labels a pixel; None for no pseudo-labels.
        loss: of the pixels.
        background_lr_ratio: with freeze and an unknown head, the background head's rate is lr * background_lr_ratio.
        learn_unknown: whether, with freeze, the unknown and the background head learn. If not, they give way to the new
            classes, which they knew nothing of: see `give_way`.
    """
    labels = old.with_step(new)
    teacher = FrozenTeacher(model) if freeze else None if pseudo_threshold is None else copy.deepcopy(model)
    model.grow(len(new))
    if weight_transfer and labels.unknown:
        model.init_head_from_unknown(parent=labels.unknown_head)
    learning = learning_heads(labels, learn_unknown=learn_unknown) if freeze else ()
    if freeze and labels.unknown and not learn_unknown:
        model.let_give_way(front=old.first_class_channel, known=old.num_channels)
    if freeze:
        model.freeze_past(learning)
    if freeze_norm:
        model.freeze_norms()
    if isinstance(teacher, FrozenTeacher):
        return FrozenIncrement(model, teacher, old, labels, learning, pseudo_threshold, loss, background_lr_ratio)
    if teacher is not None and pseudo_threshold is not None:
        return PseudoLabelIncrement(model, teacher, old, labels, pseudo_threshold, loss)
    return Supervised(model, labels, loss)


def learning_heads(labels: LabelSpace, *, learn_unknown: bool = True) -> tuple[int, ...]:
    """The heads that learn in a frozen network (section 3.4), ascending."""
    newest = len(labels.head_sizes) - 1
    return (labels.unknown_head, labels.background_head, newest) if labels.unknown and learn_unknown else (newest,)


class PseudoLabelIncrement(TeacherStudentObjective):
    """A step in which the whole network learns, with pseudo-labels of a copy of the previous network."""

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: IncrementalDeepLab,
        old: LabelSpace,
        labels: LabelSpace,
        threshold: float,
        loss: LossName,
    ) -> None:
        """Takes student and teacher, the meaning of their channels, the pseudo-labels' threshold, and the loss."""
        super().__init__(model, labels, teacher, old)
        self.threshold, self.loss = threshold, loss

    @torch.no_grad()
    def completed(self, images: Tensor, target: Tensor) -> Tensor:
        """The target with pseudo-labels, uint8 (B, H, W); the arguments are those of `forward`."""
        teacher = self.teacher(images)
        old_logits, corners = teacher.classify(teacher.features(images)), teacher.align_corners
        return add_pseudo_labels_low_res(self.old, target, old_logits, self.threshold, align_corners=corners)

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        completed = self.completed(images, target)
        return Loss(
            pixel_loss(self.loss, self.model(images), completed), label_statistics(target, completed, self.labels)
        )


class FrozenIncrement(Objective):
    """A step in which everything but a few heads is frozen, and so computed once.

    Backbone and ASPP are the same in student and teacher, so one pass without gradients serves both. The teacher has
    all its heads as they were, and no dropout. Per-channel losses leave out the channels that do not learn: the loss
    differs from the full one by a constant, and its gradients are the same.
    """

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: FrozenTeacher,
        old: LabelSpace,
        labels: LabelSpace,
        learning: tuple[int, ...],
        threshold: float | None,
        loss: LossName,
        background_lr_ratio: float = 1.0,
    ) -> None:
        """Takes the grown and frozen network, and the teacher: a copy of it from before it grew."""
        super().__init__(model, labels)
        self.old, self.learning, self.threshold, self.loss = old, learning, threshold, loss
        self._teacher, self._background_lr_ratio = teacher, background_lr_ratio
        self.register_buffer("learning_channels", torch.tensor(labels.channels_of_heads(learning)), persistent=False)

    def parameter_groups(self, lr: float, *, backbone_ratio: float) -> list[dict[str, Any]]:
        """See `Objective.parameter_groups`; the background head has a rate of its own beside the unknown head."""
        return self.model.parameter_groups(
            lr,
            backbone_ratio=backbone_ratio,
            low_lr_head=self.labels.background_head if self.labels.unknown else None,
            low_lr_ratio=self._background_lr_ratio,
        )

    def completed(self, images: Tensor, target: Tensor) -> Tensor:
        """The target with pseudo-labels, uint8 (B, H, W); the arguments are those of `forward`."""
        completed = self.fixed_part(images, target).completed
        return target if completed is None else completed

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        return self.learn(self.fixed_part(images, target), target)

    def fixed_part(self, images: Tensor, target: Tensor) -> FixedPart:
        """See `Objective.fixed_part`."""
        teacher = self._teacher.to(images.device)
        features = teacher.features(images)
        completed = None
        if self.threshold is not None:
            logits, corners = teacher.classify(features), self.model.align_corners
            completed = add_pseudo_labels_low_res(self.old, target, logits, self.threshold, align_corners=corners)
        return FixedPart(*features, completed)

    def learn(self, fixed: FixedPart, target: Tensor) -> Loss:
        """See `Objective.learn`."""
        completed = target if fixed.completed is None else fixed.completed
        dropped = self.model.apply_dropout(Features(fixed.aspp, fixed.low_level))
        if self.loss == "bce":
            logits = self.model.upsample(self.model.classify(dropped, self.learning), target)
            total = binary_cross_entropy(logits, completed, self.learning_channels)  # type: ignore[arg-type]
        else:  # a softmax couples all channels
            total = pixel_loss(self.loss, self.model.upsample(self.model.classify(dropped), target), completed)
        return Loss(total, label_statistics(target, completed, self.labels))
