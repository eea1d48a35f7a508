"""MiB: modeling the background (Cermelli et al., CVPR 2020).

In an increment a pixel that is annotated as background may show an old class, and a pixel that the old network scores
as background may show a new class. So both losses sum the probabilities of all classes that a label could stand for.
"""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.objective import Loss, TeacherStudentObjective


def prepare_increment(
    model: IncrementalDeepLab,
    old: LabelSpace,
    new: tuple[int, ...],
    *,
    distillation: float,
    void: str = "background",
    freeze_norm: bool = False,
) -> "MibIncrement":
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels; there must be no unknown channel.
        new: the dataset ids of the classes to learn.
        distillation: weight of the unbiased distillation (10 in the published commands).
        void: whether pixels that are not annotated are trained as "background", as in the published code on VOC (where
            the masking value of old classes replaces void too), or "ignore".
        freeze_norm: no BatchNorm learns or adapts, against the paper.
    """
    teacher = copy.deepcopy(model)
    model.grow(len(new))
    model.init_head_from_background(parent=old.background_head, channel=old.background_in_head)
    if freeze_norm:
        model.freeze_norms()
    return MibIncrement(model, teacher, old, old.with_step(new), distillation, void_is_background=void == "background")


class MibIncrement(TeacherStudentObjective):
    """A step of MiB: unbiased cross-entropy and unbiased distillation; the whole network learns."""

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: IncrementalDeepLab,
        old: LabelSpace,
        labels: LabelSpace,
        distillation: float,
        *,
        void_is_background: bool,
    ) -> None:
        """Takes student and teacher, the meaning of their channels, the distillation's weight, and what void is."""
        super().__init__(model, labels, teacher, old)
        self.distillation, self.void_is_background = distillation, void_is_background

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        with torch.no_grad():
            old_logits = self.teacher(images)(images)
        logits = self.model(images)
        if self.void_is_background:
            target = torch.where(target == VOID, 0, target)
        learned = unbiased_cross_entropy(logits, target, old_channels=old_logits.shape[1])
        kept = unbiased_distillation(logits, old_logits)
        parts = {"cross_entropy": learned.detach(), "distillation": kept.detach()}
        return Loss(learned + self.distillation * kept, parts)


def unbiased_cross_entropy(logits: Tensor, target: Tensor, *, old_channels: int) -> Tensor:
    """Cross-entropy in which the background's probability is that of background and old classes together (equation 5).

    Args:
        logits: float (B, K, H, W), background first, then old classes, then new ones.
        target: uint8 (B, H, W), channels or VOID; old classes count as background.
        old_channels: how many channels the old network had, background included.

    Returns:
        A scalar: the mean over all pixels of the batch; void pixels add 0 (as in PLOP's published code).
    """
    total = logits.logsumexp(dim=1, keepdim=True)
    background = logits[:, :old_channels].logsumexp(dim=1, keepdim=True) - total
    unused = logits.new_zeros(()).expand(logits.shape[0], old_channels - 1, *logits.shape[2:])
    log_probabilities = torch.cat([background, unused, logits[:, old_channels:] - total], dim=1)
    labels = torch.where(target < old_channels, 0, target.long())
    return functional.nll_loss(log_probabilities, labels, ignore_index=VOID, reduction="sum") / target.numel()


def unbiased_distillation(logits: Tensor, old_logits: Tensor) -> Tensor:
    """Cross-entropy towards the old network, whose background is background and new classes together (equation 8).

    Args:
        logits: float (B, K, H, W) of the student.
        old_logits: float (B, K', H, W) of the teacher, the first K' of the K channels.

    Returns:
        A scalar: the mean over all pixels, divided by the number of old channels, background included.
    """
    old = old_logits.shape[1]
    total = logits.logsumexp(dim=1, keepdim=True)
    background = torch.cat([logits[:, :1], logits[:, old:]], dim=1).logsumexp(dim=1, keepdim=True) - total
    log_probabilities = torch.cat([background, logits[:, 1:old] - total], dim=1)
    return -(old_logits.softmax(dim=1) * log_probabilities).sum(dim=1).mean() / old
