"""STAR: the training's samples restored by replayed features (Chen et al., NeurIPS 2023).

Of each old class a prototype is kept, around which features are drawn that new classes must refuse. The features of
pixels that show an old class stay as they were, and those of new classes keep away from the prototypes. The old
classifiers are in no loss.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ssul.inference.predict import predict
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.star.cells import at_cell_centres, covered_share
from ssul.methods.star.kept import Kept
from ssul.methods.star.replay import Replay
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.losses import class_binary_cross_entropy
from ssul.training.objective import Batch, Loss, TeacherStudentObjective
from ssul.training.shared_batch import batch_sum, rank_and_size, valid_count


def prepare_increment(
    model: IncrementalDeepLab,
    old: LabelSpace,
    new: tuple[int, ...],
    *,
    kept: Mapping[str, Tensor],
    distillation: float,
    separation: float,
    newest_lr_ratio: float,
    positive_weight: float,
) -> "StarIncrement":
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels, with a constant background and no unknown channel.
        new: the dataset ids of the classes to learn.
        kept: the tensors of `ssul.methods.star.kept.Kept`, of the old classes.
        distillation, separation: weights of the distillation of features (published: 5) and of the nearness to old
            prototypes (0.05).
        newest_lr_ratio: the newest head's rate is lr * ratio.
        positive_weight: of the pixels of a class in its own term (published: 4 on VOC, 30 on ADE20K).
    """
    teacher = copy.deepcopy(model)
    model.grow(len(new))
    model.freeze_norms()
    weights = {"distillation": distillation, "separation": separation, "positive_weight": positive_weight}
    return StarIncrement(model, teacher, old, old.with_step(new), Kept.of(kept), newest_lr_ratio, **weights)


class StarIncrement(TeacherStudentObjective):
    """A step of STAR; everything but BatchNorm learns, without dropout. `calibrate` must have run before."""

    new_channels: Tensor

    def __init__(
        self,
        model: IncrementalDeepLab,
        teacher: IncrementalDeepLab,
        old: LabelSpace,
        labels: LabelSpace,
        kept: Kept,
        newest_lr_ratio: float,
        *,
        distillation: float,
        separation: float,
        positive_weight: float,
    ) -> None:
        """Takes student and teacher, the meaning of their channels, what is kept, and the method's settings."""
        super().__init__(model, labels, teacher, old)
        self.kept, self.replay, self.newest_lr_ratio = kept, Replay(kept), newest_lr_ratio
        self.distillation, self.separation, self.positive_weight = distillation, separation, positive_weight
        self.newest = len(labels.head_sizes) - 1
        self.register_buffer("new_channels", torch.tensor(labels.channels_of_heads([self.newest])), persistent=False)
        self.predicted: Tensor | None = None

    def calibrate(self, batches: Iterable[Batch]) -> Iterator[int]:
        """Counts what the old network predicts where nothing is annotated; yields after each batch.

        Args:
            batches: the step's normalised images and targets.
        """
        predicted, iterations = torch.zeros(self.old.num_classes, dtype=torch.long), 0
        for iterations, (images, target) in enumerate(batches, start=1):
            seen, guess = self._old(images)
            unlabelled = at_cell_centres(target, seen) == self.labels.background_channel
            guesses = at_cell_centres(guess, seen)[unlabelled].cpu()
            predicted += torch.bincount(guesses, minlength=len(predicted))
            yield iterations - 1
        self.predicted = predicted
        self.replay.numbers = self.kept.features_per_iteration(predicted, iterations)
        self.background_ratio = self.kept.background_ratio(predicted, len(self.new_channels))

    def outputs(self) -> dict[str, Tensor]:
        """The number of unlabelled features that the old network gave to nothing, and to each old class."""
        assert self.predicted is not None
        return {"predicted": self.predicted}

    def parameter_groups(self, lr: float, *, backbone_ratio: float) -> list[dict[str, Any]]:
        """See `Objective.parameter_groups`; the newest head has a rate of its own."""
        return self.model.parameter_groups_beside_newest(
            lr, backbone_ratio=backbone_ratio, newest_ratio=self.newest_lr_ratio
        )

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        """See `Objective.forward`."""
        if self.predicted is None:
            raise RuntimeError("calibrate() must run first: it counts the features to replay")
        old_seen, guess = self._old(images)
        seen = self.model.head_input(self.model.features(images))
        unlabelled = target == self.labels.background_channel
        known = unlabelled & (guess > 0)
        learned = self._classification(images, target, seen, unlabelled & (guess == 0))
        kept = feature_distillation(seen, old_seen, covered_share(known[:, None], seen))
        masks = target[:, None] == self.new_channels[:, None, None]
        apart = class_separation(seen, covered_share(masks, seen), self.replay.prototypes)
        parts = {
            "classes": learned.detach(),
            "distillation": kept.detach(),
            "separation": apart.detach(),
            "pseudo_share": known.sum() / valid_count(target != VOID),
        }
        total = learned + self.distillation * kept + self.separation * apart + 0.0 * self._old_heads()
        return Loss(total, parts)

    def _old(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The old network's features, float (B, C, h, w), and class indices, uint8 (B, H, W), 0 where it sees none."""
        teacher = self.teacher(images)
        with torch.no_grad():
            seen = teacher.head_input(teacher.features(images))
            return seen, predict(self.old, teacher.classify_input(seen), images, align_corners=teacher.align_corners)

    def _classification(self, images: Tensor, target: Tensor, seen: Tensor, nothing: Tensor) -> Tensor:
        """The binary cross-entropy of the new classes over the batch's pixels and what restores the samples.

        This is the weighed mean over three sets: the pixels (weight 1); the replayed features; and, once more, the
        batch's own features where neither annotation nor old network shows a class. The weight of a set of features is
        their number over that of the batch's cells, times the background's ratio for the third.
        """
        low_res = self.model.classify_input(seen, [self.newest])
        real = class_binary_cross_entropy(
            self.model.upsample(low_res, images), target, self.new_channels, self.positive_weight
        )
        replayed = _refusal(self._score(self.replay().to(seen.dtype)))
        background = at_cell_centres(nothing, seen)
        again = _refusal(low_res.movedim(1, -1)[background])
        cells = background.numel()  # of this process
        batch_cells = cells * rank_and_size()[1]
        fake_weight = int(self.replay.numbers.sum()) / batch_cells
        background_weight = self.background_ratio * batch_sum(background.sum()).to(real.dtype) / batch_cells
        total = real + (replayed + self.background_ratio * again) / cells
        return total / (1 + fake_weight + background_weight)

    def _score(self, features: Tensor) -> Tensor:
        """The newest head's logits (n, K) of features (n, C) that have no place in an image.

        A 3x3 convolution sees the feature on all sides, as inside an object.
        """
        side = 3 if self.model.architecture.classifier == "conv3x3" else 1
        around = features[:, :, None, None].expand(-1, -1, side, side)
        return self.model.classify_input(around, [self.newest])[:, :, side // 2, side // 2]

    def _old_heads(self) -> Tensor:
        """The sum of what learns in the old heads: with weight 0 it lets weight decay, and nothing else, move them.

        (An optimiser leaves out what has no gradient, and processes that share a batch wait for it.)
        """
        heads = list(self.model.heads)[: self.newest]
        return torch.stack([p.sum() for head in heads for p in head.parameters() if p.requires_grad]).sum()


def feature_distillation(ours: Tensor, theirs: Tensor, known: Tensor) -> Tensor:
    """The mean square by which features have moved where they show old classes.

    Args:
        ours, theirs: float (B, C, h, w), of the student and of the teacher.
        known: float (B, 1, h, w) in 0..1, the share of each cell.

    Returns:
        A scalar; 0 if no cell does.
    """
    squares = ((_precise(ours) - _precise(theirs)) ** 2 * known).sum()
    shares = batch_sum(known.sum())
    _, processes = rank_and_size()
    return squares * processes / (ours.shape[1] * torch.where(shares > 0, shares, 1.0))


def class_separation(features: Tensor, masks: Tensor, prototypes: Tensor) -> Tensor:
    """How near the new classes lie to the old ones: the mean of 1 / (distance to the nearest prototype).

    A class's centre is the unit vector along the sum of its unit features over the whole batch; that of a class which
    the batch does not show is 0, so that it adds a constant.

    Args:
        features: float (B, C, h, w).
        masks: float (B, K, h, w) in 0..1, each new class's share of each cell.
        prototypes: float (n, C), unit vectors; those that are 0 are of no class.

    Returns:
        A scalar; 0 without prototypes.
    """
    known = prototypes[prototypes.any(dim=1)].to(masks.dtype)
    unit = functional.normalize(_precise(features), dim=1)
    with torch.autocast(features.device.type, enabled=False):  # else the sums are of half precision
        sums = batch_sum(torch.einsum("bchw,bkhw->kc", unit, masks))
    if not len(known):
        return sums.new_zeros(())
    centres = functional.normalize(sums, dim=1)
    distances: Tensor = torch.linalg.vector_norm(centres[:, None] - known, dim=2)
    return (1 / distances.amin(dim=1)).mean()


def _refusal(logits: Tensor) -> Tensor:
    """The sum of the binary cross-entropies of features that are of none of the classes: (n, K) -> a scalar."""
    return functional.softplus(_precise(logits)).sum()


def _precise(x: Tensor) -> Tensor:
    """At least in single precision, because sums of squares and of many values leave that of half."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
