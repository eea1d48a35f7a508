"""The numbers of the field for one step, from its confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # else the report would import torch
    from ssul.inference.confusion import ConfusionMatrix


@dataclass(frozen=True)
class Holdout:
    """Mean IoUs on training images that were held out, as in `Scores`; for choices, not for reporting.

    Attributes:
        images: how many.
        old, new, all: see `Scores`.
    """

    images: int
    old: float | None
    new: float | None
    all: float | None


@dataclass(frozen=True)
class Scores:
    """Mean IoUs after a step, in 0..1; None where undefined. Absent classes are left out of means, and named.

    In a dataset without a background, "and background" has no meaning, unless classes that are learned later count as
    background.

    Attributes:
        step: index.
        old: base classes and background (the papers' "0-15").
        new: all classes learned after step 0 (the papers' "16-20").
        all: all classes learned so far, and background.
        previous: all learned before this step, and background; None at step 0.
        current: the classes of this step (at step 0 with the background).
        old_without_background, previous_without_background, all_without_background: the same over classes alone.
        pixel_accuracy: fraction of pixels that are right.
        forgetting: mean over the classes of earlier steps of (best IoU at an earlier step - IoU now).
        average: mean of `all` over the steps so far.
        iou, accuracy: by class name, in learning order, background first.
        absent: names of classes that are neither in the ground truth nor predicted.
        holdout: scores on held-out training images; None where there are none.
    """

    step: int
    old: float | None
    new: float | None
    all: float | None
    previous: float | None
    current: float | None
    old_without_background: float | None
    previous_without_background: float | None
    all_without_background: float | None
    pixel_accuracy: float | None
    forgetting: float | None
    average: float | None
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]
    absent: list[str]
    holdout: Holdout | None = None


def score(
    confusion: "ConfusionMatrix",
    group_sizes: Sequence[int],
    names: Sequence[str],
    history: Sequence[dict[str, Any]],
    *,
    has_background: bool,
) -> Scores:
    """Scores a step.

    Args:
        confusion: over [background, classes in learning order].
        group_sizes: number of classes of each step so far.
        names: of background and classes, in the same order.
        history: the rows (`Scores` as dicts) of the steps before.
        has_background: whether the dataset has a background. Without one the background is not scored: its IoU is None,
            and a pixel predicted as background is a miss of its class. (If the ground truth shows a
            background, because classes that are learned later count as it, the background is scored.)
    """
    scored = has_background or bool(confusion.counts[0].sum())
    iou = confusion.iou() if scored else [None, *confusion.iou()[1:]]
    by_name = dict(zip(names, iou, strict=True))
    base_end, before = 1 + group_sizes[0], 1 + sum(group_sizes[:-1])
    later = len(group_sizes) > 1
    everything = mean(iou)
    return Scores(
        step=len(group_sizes) - 1,
        old=mean(iou[:base_end]),
        new=mean(iou[base_end:]) if later else None,
        all=everything,
        previous=mean(iou[:before]) if later else None,
        current=mean(iou[before:]) if later else everything,
        old_without_background=mean(iou[1:base_end]),
        previous_without_background=mean(iou[1:before]) if later else None,
        all_without_background=mean(iou[1:]),
        pixel_accuracy=confusion.pixel_accuracy(),
        forgetting=_forgetting(by_name, names[1:before], history) if later else None,
        average=mean([*(row["all"] for row in history), everything]),
        iou=by_name,
        accuracy=dict(zip(names, confusion.accuracy(), strict=True)),
        absent=[name for name in names[0 if scored else 1 :] if by_name[name] is None],
    )


def score_holdout(
    confusion: "ConfusionMatrix", group_sizes: Sequence[int], names: Sequence[str], *, images: int, has_background: bool
) -> Holdout:
    """Scores held-out training images after a step; the arguments are those of `score`, and the number of images."""
    scores = score(confusion, group_sizes, names, [], has_background=has_background)
    return Holdout(images, scores.old, scores.new, scores.all)


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is defined; None if nothing is."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _forgetting(now: dict[str, float | None], old: Sequence[str], history: Sequence[dict[str, Any]]) -> float | None:
    losses: list[float | None] = []
    for name in old:
        past = [row["iou"][name] for row in history if row["iou"].get(name) is not None]
        present = now[name]
        if past and present is not None:
            losses.append(max(past) - present)
    return mean(losses)
