"""LwF: learning without forgetting (Li and Hoiem, ECCV 2016), in the form that MiB's paper compares with.

Cross-entropy learns what is annotated, and the old channels among themselves stay as the old network scores them.
"""

import copy

import torch
from torch import Tensor

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
    freeze_norm: bool = False,
) -> "LwfIncrement":
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels; there must be no unknown channel.
        new: the dataset ids of the classes to learn.
        distillation: its weight (100 in MiB's published code).
        freeze_norm: no BatchNorm learns or adapts, against the paper.
    """
    teacher = copy.deepcopy(model)
    model.grow(len(new))
    if freeze_norm:
        model.freeze_norms()
    return LwfIncrement(model, teacher, old, old.with_step(new), distillation)


class LwfIncrement(TeacherStudentObjective):
    """A step of LwF: cross-entropy and distillation of the logits; the whole network learns."""

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: IncrementalDeepLab,
        old: LabelSpace,
        labels: LabelSpace,
        distillation: float,
    ) -> None:
        """Takes student and teacher, the meaning of their channels, and the distillation's weight."""
        super().__init__(model, labels, teacher, old)
        self.distillation = distillation

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        with torch.no_grad():
            old_logits = self.teacher(images)(images)
        logits = self.model(images)
        learned = cross_entropy(logits, target)
        kept = softmax_distillation(logits, old_logits)
        parts = {"cross_entropy": learned.detach(), "distillation": kept.detach()}
        return Loss(learned + self.distillation * kept, parts)
