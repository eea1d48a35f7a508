"""DKD: decomposed knowledge distillation (Baek et al., NeurIPS 2022).

A class's logit is a linear map of features that are at least 0. So the positive weights alone say how much speaks for
the class, the negative ones alone how much speaks against it; each part is distilled as the whole is.
"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.model.heads import Head
from ssul.training.distillation import sigmoid_distillation
from ssul.training.losses import class_binary_cross_entropy
from ssul.training.objective import Loss, TeacherStudentObjective, auxiliary_loss


def prepare_increment(
    model: IncrementalDeepLab,
    old: LabelSpace,
    new: tuple[int, ...],
    *,
    positive_weight: float,
    distillation: float,
    decomposed: float,
    other_decay: float,
) -> "DkdIncrement":
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels, with a constant background and the auxiliary class in the unknown's place.
        new: the dataset ids of the classes to learn.
        positive_weight: of a new class's own pixels (VOC 1, ADE 35).
        distillation: weight of the distillation of logits (5).
        decomposed: weight of the distillation of their positive parts, and of that of their negative parts (5).
        other_decay: weight decay of everything but the newest head (0).
    """
    teacher = copy.deepcopy(model)
    model.grow(len(new))
    model.init_head_from_unknown(parent=old.unknown_head)
    model.freeze_norms()
    return DkdIncrement(model, teacher, old, old.with_step(new), positive_weight, distillation, decomposed, other_decay)


class DkdIncrement(TeacherStudentObjective):
    """A step of DKD: everything but the norms learns, without dropout."""

    new_channels: Tensor

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: IncrementalDeepLab,
        old: LabelSpace,
        labels: LabelSpace,
        positive_weight: float,
        distillation: float,
        decomposed: float,
        other_decay: float,
    ) -> None:
        """Takes student and teacher, the meaning of their channels, and the method's settings."""
        super().__init__(model, labels, teacher, old)
        self.positive_weight, self.other_decay = positive_weight, other_decay
        self.distillation, self.decomposed = distillation, decomposed
        self.old_heads = range(old.background_head + 1, len(old.head_sizes))
        self.newest = len(old.head_sizes)
        channels = torch.tensor(labels.channels_of_heads([self.newest]))
        self.register_buffer("new_channels", channels, persistent=False)

    def parameter_groups(self, lr: float, *, backbone_ratio: float) -> list[dict[str, Any]]:
        """See `Objective.parameter_groups`."""
        return self.model.parameter_groups_beside_newest(
            lr, backbone_ratio=backbone_ratio, other_decay=self.other_decay
        )

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        with torch.no_grad():
            teacher = self.teacher(images)
            theirs = decomposed_logits(teacher, heads_input(teacher, images), self.old_heads)
        seen = heads_input(self.model, images)
        ours = decomposed_logits(self.model, seen, self.old_heads)
        new = self.model.upsample(self.model.classify_input(seen, [self.newest]), images)
        learned = class_binary_cross_entropy(new, target, self.new_channels, self.positive_weight)
        auxiliary = auxiliary_loss(self.model, self.labels, seen, images)
        kept = sigmoid_distillation(self.model.upsample(ours.whole, images), self.model.upsample(theirs.whole, images))
        positive = sigmoid_distillation(ours.positive, theirs.positive)
        negative = sigmoid_distillation(ours.negative, theirs.negative)
        parts = {
            "classes": learned,
            "auxiliary": auxiliary,
            "distillation": kept,
            "positive": positive,
            "negative": negative,
        }
        total = learned + auxiliary + self.distillation * kept + self.decomposed * (positive + negative)
        return Loss(total, {name: part.detach() for name, part in parts.items()})


def heads_input(model: IncrementalDeepLab, images: Tensor) -> Tensor:
    """The input of a network's heads (B, C, h, w), at least 0; without dropout, in training mode too."""
    return model.head_input(model.features(images))


class DecomposedLogits(NamedTuple):
    """The logits of some classes and their two parts, each float (B, K, h, w): whole = positive + negative + bias.

    Attributes:
        whole: the logits.
        positive: what the positive weights add to them, at least 0.
        negative: what the negative weights add to them, at most 0.
    """

    whole: Tensor
    positive: Tensor
    negative: Tensor


def decomposed_logits(model: IncrementalDeepLab, seen: Tensor, heads: Sequence[int]) -> DecomposedLogits:
    """The logits of some heads, decomposed at each head's 1x1 convolution, whose input is at least 0.

    Args:
        model: the network.
        seen: float (B, C, h, w), the heads' input, at least 0.
        heads: their indices.
    """
    parts = []
    for index in heads:
        head = model.heads[index]
        assert isinstance(head, Head)
        hidden, weight = head.hidden(seen), head.classifier.weight
        signed = [functional.conv2d(hidden, weight.clamp(min=0)), functional.conv2d(hidden, weight.clamp(max=0))]
        parts.append((head.classifier(hidden), *signed))
    return DecomposedLogits(*(torch.cat(part, dim=1) for part in zip(*parts, strict=True)))
