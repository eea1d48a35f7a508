"""PLOP: learning without forgetting by local pooled outputs (Douillard et al., CVPR 2021).

Background pixels take pseudo-labels of the old network where it is sure (section 3.3), and the statistics of all
layers, pooled along strips of several sizes, are distilled (section 3.2, local POD).
"""

import copy
import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.plop.thresholds import Entropy, ExactMedians, PublishedMedians, normalised_entropy, published_entropy
from ssul.model.deeplab import IncrementalDeepLab, Intermediates
from ssul.training.objective import Batch, Loss, TeacherStudentObjective
from ssul.training.shared_batch import valid_count

SCALES = (1, 2, 4)
"""The numbers of windows along each side of a layer."""
MIN_MEDIAN = 0.001
"""Pixels are accepted up to this entropy even if the median of their class is lower."""


def prepare_increment(
    model: IncrementalDeepLab,
    old: LabelSpace,
    new: tuple[int, ...],
    *,
    pod: float,
    pod_logits: float,
    entropy: Entropy,
    freeze_norm: bool = False,
) -> "PlopIncrement":
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels; there must be no unknown channel.
        new: the dataset ids of the classes to learn.
        pod, pod_logits: weights of the distillation of layers and of logits (VOC 0.01 and 0.0005, ADE 0.001 and 1e-5).
        entropy: `exact`, or as the published code computes thresholds, see `published_median`.
        freeze_norm: no BatchNorm learns or adapts, against the paper.
    """
    teacher = copy.deepcopy(model)
    model.grow(len(new))
    model.init_head_from_background(parent=old.background_head, channel=old.background_in_head)  # as MiB
    if freeze_norm:
        model.freeze_norms()
    return PlopIncrement(model, teacher, old, old.with_step(new), pod, pod_logits, entropy)


class PlopIncrement(TeacherStudentObjective):
    """A step of PLOP; the whole network learns. `calibrate` must have run before."""

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: IncrementalDeepLab,
        old: LabelSpace,
        labels: LabelSpace,
        pod: float,
        pod_logits: float,
        entropy: Entropy,
    ) -> None:
        """Takes student and teacher, the meaning of their channels, and the method's settings."""
        super().__init__(model, labels, teacher, old)
        self.entropy = entropy
        new = labels.num_channels - old.num_channels
        growth = math.sqrt(labels.num_channels / new)
        self.pod, self.pod_logits = pod * growth, pod_logits * growth
        self._calibrated = False
        self.register_buffer("medians", torch.zeros(old.num_channels), persistent=False)

    def calibrate(self, batches: Iterable[Batch]) -> Iterator[int]:
        """Finds the median entropy of each old class over the step's background pixels; yields after each batch.

        The exact medians take two passes: the first counts the upper bits of the entropies, the second the lower bits
        of those that have the median's upper bits.

        Args:
            batches: the step's normalised images and targets; the same in each pass.
        """
        tally = (
            ExactMedians(self.old.num_channels) if self.entropy == "exact" else PublishedMedians(self.old.num_channels)
        )
        for _ in range(tally.passes):
            for number, (images, target) in enumerate(batches):
                with torch.no_grad():
                    probabilities = self._old(images)[1].softmax(dim=1)
                    uncertain = self._uncertainty(probabilities)
                    background = target <= self.labels.background_channel
                    tally.add(uncertain[background], probabilities.argmax(dim=1)[background])
                yield number
            tally.next_pass()
        found = tally.medians().to(self.medians.device)  # type: ignore[arg-type]
        self.medians.copy_(found.clamp(min=MIN_MEDIAN))  # type: ignore[operator]
        self._calibrated = True

    @torch.no_grad()
    def completed(self, images: Tensor, target: Tensor) -> Tensor:
        """The target with pseudo-labels, uint8 (B, H, W); the arguments are those of `forward`."""
        return self._label(target, self._old(images)[1].softmax(dim=1))[0]

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        if not self._calibrated:
            raise RuntimeError("calibrate() must run first: without medians no pseudo-label would be accepted")
        with torch.no_grad():
            old_intermediates, old_logits = self._old(images)
            labels, factor = self._label(target, old_logits.softmax(dim=1))
        intermediates = self.model.forward_intermediates(images)
        pixels = functional.cross_entropy(
            self.model.upsample(intermediates.logits, images), labels.long(), ignore_index=VOID, reduction="none"
        )
        learned = (factor[:, None, None] * pixels).mean()
        layers = [
            self.pod * local_pod(ours, theirs)
            for ours, theirs in zip(intermediates.layers, old_intermediates.layers, strict=True)
        ]
        logits = self.pod_logits * local_pod(
            fold_new(intermediates.logits, self.old.num_channels), old_intermediates.logits
        )
        kept = torch.stack([*layers, logits]).mean()
        valid = valid_count(target != VOID)
        parts = {
            "cross_entropy": learned.detach(),
            "pod": kept.detach(),
            "pseudo_share": ((labels != target) & (labels != VOID)).sum() / valid,
        }
        return Loss(learned + kept, parts)

    def _old(self, images: Tensor) -> tuple[Intermediates, Tensor]:
        intermediates = self.teacher(images).forward_intermediates(images)
        return intermediates, self.model.upsample(intermediates.logits, images)

    def _uncertainty(self, probabilities: Tensor) -> Tensor:
        if self.entropy == "exact":
            return normalised_entropy(probabilities)
        return published_entropy(probabilities) / math.log(self.labels.num_channels)

    def _label(self, target: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """The target with pseudo-labels, and each image's weight: the accepted share of its old and background pixels.

        Args:
            target: uint8 (B, H, W), channels or VOID.
            probabilities: float (B, K', H, W), the old network's.

        Returns:
            uint8 (B, H, W), and float (B,).
        """
        old = target < self.old.num_channels
        guess = probabilities.argmax(dim=1)
        sure = self._uncertainty(probabilities) < self.medians[guess]  # type: ignore[index]
        labels = torch.where(old, torch.where(sure, guess, VOID), target.long()).to(torch.uint8)
        accepted = (old & sure).sum(dim=(1, 2)) / (old.sum(dim=(1, 2)) + 1e-6)
        return labels, accepted


def fold_new(logits: Tensor, old_channels: int) -> Tensor:
    """The student's logits over the old channels, those of the new classes added to the background's."""
    background = logits[:, :1] + logits[:, old_channels:].sum(dim=1, keepdim=True)
    return torch.cat([background, logits[:, 1:old_channels]], dim=1)


def local_pod(ours: Tensor, theirs: Tensor) -> Tensor:
    """The distance between the pooled strips of two layers (equations 3 and 4).

    The features are squared, cut into 1, 4 and 16 windows, and each window is averaged over its width and over its
    height.

    Args:
        ours, theirs: float (B, C, h, w) with h and w of at least 4.

    Returns:
        A scalar: the Frobenius norm of the difference of an image's strips, averaged over the batch.
    """
    precise = torch.promote_types(ours.dtype, torch.float32)  # squares leave the range of half precision
    difference = _strips(ours.to(precise) ** 2) - _strips(theirs.to(precise) ** 2)
    norms: Tensor = torch.linalg.vector_norm(difference, dim=1)
    return norms.mean()


def _strips(layer: Tensor) -> Tensor:
    strips = []
    for scale in SCALES:
        height, width = layer.shape[2] // scale, layer.shape[3] // scale
        for row in range(scale):
            for column in range(scale):
                window = layer[:, :, row * height : (row + 1) * height, column * width : (column + 1) * width]
                strips += [window.mean(dim=3).flatten(1), window.mean(dim=2).flatten(1)]
    return torch.cat(strips, dim=1)
