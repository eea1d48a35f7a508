"""ILT: incremental learning techniques for segmentation (Michieli and Zanuttigh, ICCV workshops 2019).

LwF, and the output of the ASPP, which the heads read, stays near the old network's.
"""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.distillation import softmax_distillation
from ssul.training.losses import cross_entropy
from ssul.training.objective import Loss, TeacherStudentObjective


def prepare_increment(
    model: IncrementalDeepLab,
    old: LabelSpace,
    new: tuple[int, ...],
    *,
    distillation: float,
    features: float,
    freeze_norm: bool = False,
) -> "IltIncrement":
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels; there must be no unknown channel.
        new: the dataset ids of the classes to learn.
        distillation, features: weights of the distillation of logits and of features (both 100 in MiB's published
            code).
        freeze_norm: no BatchNorm learns or adapts, against the paper.
    """
    teacher = copy.deepcopy(model)
    model.grow(len(new))
    if freeze_norm:
        model.freeze_norms()
    return IltIncrement(model, teacher, old, old.with_step(new), distillation, features)


class IltIncrement(TeacherStudentObjective):
    """A step of ILT: cross-entropy and distillation of logits and features; the whole network learns."""

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: IncrementalDeepLab,
        old: LabelSpace,
        labels: LabelSpace,
        distillation: float,
        features: float,
    ) -> None:
        """Takes student and teacher, the meaning of their channels, and the weights of the distillations."""
        super().__init__(model, labels, teacher, old)
        self.distillation, self.features = distillation, features

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        with torch.no_grad():
            teacher = self.teacher(images)
            old_features = teacher.features(images)
            old_logits = self.model.upsample(teacher.classify(old_features), images)
        features = self.model.features(images)
        logits = self.model.upsample(self.model.classify(self.model.apply_dropout(features)), images)
        learned = cross_entropy(logits, target)
        kept = softmax_distillation(logits, old_logits)
        near = functional.mse_loss(features.aspp, old_features.aspp)
        parts = {"cross_entropy": learned.detach(), "distillation": kept.detach(), "features": near.detach()}
        return Loss(learned + self.distillation * kept + self.features * near, parts)
