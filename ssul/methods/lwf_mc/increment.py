"""LwF-MC: LwF with a sigmoid for each class (Rebuffi et al., CVPR 2017), in the form that MiB's paper compares with.

Each channel has a binary cross-entropy. The annotation is the target of the new channels, and what the old network
says is that of the old ones, the background included.
"""

import copy

import torch
from torch import Tensor

from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.distillation import sigmoid_distillation
from ssul.training.losses import binary_cross_entropy
from ssul.training.objective import Loss, TeacherStudentObjective


def prepare_increment(
    model: IncrementalDeepLab, old: LabelSpace, new: tuple[int, ...], *, freeze_norm: bool = False
) -> "LwfMcIncrement":
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels; there must be no unknown channel.
        new: the dataset ids of the classes to learn.
        freeze_norm: no BatchNorm learns or adapts, against the paper.
    """
    teacher = copy.deepcopy(model)
    model.grow(len(new))
    if freeze_norm:
        model.freeze_norms()
    return LwfMcIncrement(model, teacher, old, old.with_step(new))


class LwfMcIncrement(TeacherStudentObjective):
    """A step of LwF-MC: binary cross-entropy towards annotation and old network; the whole network learns."""

    new_channels: Tensor

    def __init__(
        self, model: IncrementalDeepLab, teacher: IncrementalDeepLab, old: LabelSpace, labels: LabelSpace
    ) -> None:
        """Takes student and teacher, and the meaning of their channels."""
        super().__init__(model, labels, teacher, old)
        new = torch.arange(old.num_channels, labels.num_channels)
        self.register_buffer("new_channels", new, persistent=False)

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        with torch.no_grad():
            old_logits = self.teacher(images)(images)
        logits, old = self.model(images), self.old.num_channels
        learned = binary_cross_entropy(logits[:, old:], target, self.new_channels)
        kept = sigmoid_distillation(logits[:, :old], old_logits)
        return Loss(learned + kept, {"new_classes": learned.detach(), "distillation": kept.detach()})
