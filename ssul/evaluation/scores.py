"""The numbers of the field for one step, from its confusion matrix."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssul.labels.background import Background

if TYPE_CHECKING:  # else the report would import torch
    from ssul.inference.confusion import ConfusionMatrix


@dataclass(frozen=True)
class Holdout:
    """Mean IoUs on training images that were held out, as in `Scores`; for choices, not for reporting.

    Attributes:
        images: how many.
        old, new, all, hiou: see `Scores`.
    """

    images: int
    old: float | None
    new: float | None
    all: float | None
    hiou: float | None


@dataclass(frozen=True)
class Scores:
    """Mean IoUs after a step, in 0..1; None where undefined. Absent classes are left out of means, and named.

    "And background" holds where the background can be right (see `ssul.labels.background`).

    Attributes:
        step: index.
        old: base classes and background (the papers' "0-15").
        new: all classes learned after step 0 (the papers' "16-20").
        all: all classes learned so far, and background.
        hiou: the harmonic mean of `old` and `new`, DKD's hIoU: high only where both are.
        previous: all learned before this step, and background; None at step 0.
        current: the classes of this step (at step 0 with the background).
        old_without_background, previous_without_background, all_without_background: the same over classes alone.
        pixel_accuracy: fraction of pixels that are right.
        forgetting: mean over the classes of earlier steps of (best IoU at an earlier step - IoU now).
        average: mean of `all` over the steps so far.
        iou, accuracy: by class name, in learning order, background first where it is counted.
        absent: names of classes that are neither in the ground truth nor predicted, or cannot be scored.
        holdout: scores on held-out training images; None where there are none.
    """

    step: int
    old: float | None
    new: float | None
    all: float | None
    hiou: float | None
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
    background: Background,
    unscored: Collection[str] = (),
) -> Scores:
    """Scores a step.

    Args:
        confusion: over `names`.
        group_sizes: number of classes of each step so far.
        names: as `Background.names` makes them, of the classes in learning order.
        history: the rows (`Scores` as dicts) of the steps before.
        background: whether it is counted, and whether it can be right. A background that is predicted although it
            cannot be right is not scored: its IoU is None, and a pixel predicted as background is a miss of its class.
        unscored: classes that the network knows, but no mask shows, although the images may: their IoU is None.
    """
    first = int(background.counted)  # the position of the first class
    iou = confusion.iou()
    if not background.possible:
        iou[:first] = [None] * first
    iou = [None if name in unscored else value for name, value in zip(names, iou, strict=True)]
    by_name = dict(zip(names, iou, strict=True))
    base_end, before = first + group_sizes[0], first + sum(group_sizes[:-1])
    later = len(group_sizes) > 1
    old, everything = mean(iou[:base_end]), mean(iou)
    new = mean(iou[base_end:]) if later else None
    return Scores(
        step=len(group_sizes) - 1,
        old=old,
        new=new,
        all=everything,
        hiou=harmonic_mean(old, new),
        previous=mean(iou[:before]) if later else None,
        current=mean(iou[before:]) if later else everything,
        old_without_background=mean(iou[first:base_end]),
        previous_without_background=mean(iou[first:before]) if later else None,
        all_without_background=mean(iou[first:]),
        pixel_accuracy=confusion.pixel_accuracy(),
        forgetting=_forgetting(by_name, names[first:before], history) if later else None,
        average=mean([*(row["all"] for row in history), everything]),
        iou=by_name,
        accuracy=dict(zip(names, confusion.accuracy(), strict=True)),
        absent=[name for name in names[0 if background.possible else first :] if by_name[name] is None],
    )


def score_holdout(
    confusion: "ConfusionMatrix",
    group_sizes: Sequence[int],
    names: Sequence[str],
    *,
    images: int,
    background: Background,
    known: Collection[str] = (),
) -> Holdout:
    """Scores held-out training images after a step.

    Args:
        confusion, group_sizes, names, background: see `score`.
        images: their number.
        known: classes that a checkpoint brought; those that no mask shows are not scored.
    """
    shown = confusion.counts.sum(dim=1).tolist()
    unscored = [name for name, pixels in zip(names, shown, strict=True) if name in known and not pixels]
    scores = score(confusion, group_sizes, names, [], background=background, unscored=unscored)
    return Holdout(images, scores.old, scores.new, scores.all, scores.hiou)


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is defined; None if nothing is."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def harmonic_mean(one: float | None, other: float | None) -> float | None:
    """The harmonic mean of two numbers of 0 or more: 0 if one of them is 0; None if one is undefined."""
    if one is None or other is None:
        return None
    return 2 * one * other / (one + other) if one and other else 0.0


def _forgetting(now: dict[str, float | None], old: Sequence[str], history: Sequence[dict[str, Any]]) -> float | None:
    losses: list[float | None] = []
    for name in old:
        past = [row["iou"][name] for row in history if row["iou"].get(name) is not None]
        present = now[name]
        if past and present is not None:
            losses.append(max(past) - present)
    return mean(losses)
