"""Paired differences between two methods, with a bootstrap interval over the validation images.

Two runs of a pair share the seed and the validation images. An interval says how far a difference would move with other
images; the differences of the single seeds stand beside it, because they say how far it moves with another training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssul.errors import UserError
from ssul.evaluation.image_counts import ImageCounts
from ssul.report.literature import Row
from ssul.report.tables import UNDEFINED

DRAWS = 2000
LEVEL = 0.95
COMPARED = ("old", "new", "all", "hiou")
_SEED = 0  # of the draws, so that the same runs give the same interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CountedRun:
    """What a run's scores are made of.

    Attributes:
        counts: of each validation image after the last step.
        base_classes: how many classes the base step learned.
        background: whether the first class of the counts is the background; the base step's classes come next.
        known: whether a checkpoint brought the base step's classes, so that those that no mask shows are not scored.
    """

    counts: ImageCounts
    base_classes: int
    background: bool = True
    known: bool = False


@dataclass(frozen=True)
class Difference:
    """How much higher the second run of each pair scores, in points of mean IoU (0..1).

    Attributes:
        mean: over the pairs, on all images.
        low, high: the ends of its 95 % interval over images.
        pairs: of each pair.
    """

    mean: float
    low: float
    high: float
    pairs: tuple[float, ...]


def paired_differences(pairs: Sequence[tuple[CountedRun, CountedRun]], draws: int = DRAWS) -> dict[str, Difference]:
    """The differences of COMPARED after the last step; what no class decides is missing.

    Each draw takes as many images as there are, with replacement, and the same ones for all runs.

    Args:
        pairs: (first, second) run of each pair, at least one; all were evaluated on the same images.
        draws: how many times images are drawn.

    Raises:
        UserError: if the runs were not evaluated on the same images.
    """
    ids = sorted(pairs[0][0].counts)
    if any(sorted(run.counts) != ids for pair in pairs for run in pair):
        raise UserError("these runs were not evaluated on the same images, so that their differences are not paired")
    weights = np.random.default_rng(_SEED).multinomial(len(ids), [1 / len(ids)] * len(ids), size=draws)
    weights = np.concatenate([np.ones((1, len(ids)), dtype=weights.dtype), weights])  # first all images, once
    found = [[_means(run, ids, weights) for run in pair] for pair in pairs]
    differences = {name: np.stack([second[name] - first[name] for first, second in found]) for name in COMPARED}
    return {name: _difference(pairs) for name, pairs in differences.items() if not np.isnan(pairs[:, 0]).any()}


@dataclass(frozen=True)
class RowDifference:
    """The differences between two lines of the table of many runs in one scenario.

    Attributes:
        scenario: the column.
        first, second: the lines' names.
        scores: see `paired_differences`.
    """

    scenario: str
    first: str
    second: str
    scores: Mapping[str, Difference]


def row_differences(rows: Sequence[Row], against: str, counted: Callable[[str], CountedRun]) -> list[RowDifference]:
    """How much higher each line scores than one of them, over the seeds that both have.

    Args:
        rows: of the table.
        against: the line's name.
        counted: the counts of a run, by its id.

    Raises:
        UserError: if there is no such line, or two runs were not evaluated on the same images.
    """
    firsts = [row for row in rows if row.method == against]
    if not firsts:
        raise UserError(f"no line is named '{against}': choose {', '.join(dict.fromkeys(row.method for row in rows))}")
    found = []
    for first in firsts:
        for row in rows:
            same = (row.data_set, row.setting, row.model) == (first.data_set, first.setting, first.model)
            for scenario in row.cells.keys() & first.cells.keys() if same and row is not first else ():
                ours, others = first.cells[scenario].ids, row.cells[scenario].ids
                pairs = [(counted(ours[seed]), counted(others[seed])) for seed in ours if seed in others]
                if pairs:
                    differences = _of_lines(pairs, f"{scenario}, {first.method} and {row.method}")
                    found.append(RowDifference(scenario, first.method, row.method, differences))
    return sorted(found, key=lambda one: (one.scenario, one.second))


def _of_lines(pairs: Sequence[tuple[CountedRun, CountedRun]], which: str) -> dict[str, Difference]:
    try:
        return paired_differences(pairs)
    except UserError as error:
        raise UserError(f"{which}: {error}; choose the runs that were, like --where evaluation.images=all") from None


def _difference(pairs: Floats) -> Difference:
    """From the differences of all pairs, (pairs, 1 + draws); draws that show no class at all are left out."""
    mean = pairs.mean(axis=0)
    low, high = np.nanquantile(mean[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(mean[0]), float(low), float(high), tuple(pairs[:, 0].tolist()))


def _means(run: CountedRun, ids: Sequence[str], weights: NDArray[np.int64]) -> Mapping[str, Floats]:
    """COMPARED of each draw, (draws,)."""
    classes = 1 + max((place for image in run.counts.values() for place, *_ in image), default=0)
    counts = np.zeros((len(ids), classes, 3))
    for row, image_id in enumerate(ids):
        for place, *pixels in run.counts[image_id]:
            counts[row, place] = pixels
    right, true, predicted = np.moveaxis((weights @ counts.reshape(len(ids), -1)).reshape(-1, classes, 3), -1, 0)
    union = true + predicted - right
    iou = np.divide(right, union, out=np.full_like(right, np.nan), where=union > 0)
    if run.background and not counts[:, 0, 1].any():
        iou[:, 0] = np.nan  # the ground truth cannot show it, so that it is not scored
    base = run.background + run.base_classes
    if run.known:
        unshown = ~counts[:, run.background : base, 1].any(axis=0)
        iou[:, run.background : base][:, unshown] = np.nan
    old, new = _mean(iou[:, :base]), _mean(iou[:, base:])
    both = old + new  # not a number where one of them is none
    hiou = np.divide(2 * old * new, both, out=both.copy(), where=both != 0)
    return {"old": old, "new": new, "all": _mean(iou), "hiou": hiou}


def _mean(iou: Floats) -> Floats:
    """Of the classes that a draw shows, (draws,); NaN if there are none."""
    shown = ~np.isnan(iou)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(shown, iou, 0).sum(axis=1) / shown.sum(axis=1)
    return mean


def interval_cells(scores: Mapping[str, Difference], names: Sequence[str]) -> list[str]:
    """A cell for each of some scores: the mean, its interval, and how many pairs are above 0."""
    return [_interval(scores[name]) if name in scores else UNDEFINED for name in names]


def _interval(difference: Difference) -> str:
    above = sum(pair > 0 for pair in difference.pairs)
    mean_, low, high = (f"{100 * value:+.1f}" for value in (difference.mean, difference.low, difference.high))
    return f"{mean_} [{low}, {high}], {above} of {len(difference.pairs)} above 0"
