"""Heat maps: IoU of classes over steps, confusion of classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm
from numpy.typing import NDArray

from ssul.report.rows import scored_names
from ssul.report.style import GREY, INK, PALE, new_figure, title, truncate
from ssul.report.tables import UNDEFINED

SHADES = LinearSegmentedColormap.from_list("ssul", ["#eef4f5", "#a8d5cf", "#4a9fb5", "#27608f", "#1f2a5c"])
_MAX_CLASSES = 40  # rows and columns that a reader can take in


def draw_class_iou(path: Path, rows: Sequence[Mapping[str, Any]], learned: Sequence[Sequence[str]]) -> None:
    """IoU of each class (row) after each step (column), in percent; blank before the class is learned.

    Args:
        path: of the PNG.
        rows: `Scores` as dicts, one a step.
        learned: the classes that each step learned.
    """
    names = scored_names(rows)
    table = [[_percentage(row["iou"].get(name)) for row in rows] for name in names]
    known = [[name in row["iou"] for row in rows] for name in names]
    width, height = (0.62 if len(rows) <= 20 else 0.34), (0.27 if len(names) <= 60 else 0.17)
    with new_figure(path, max(width * len(rows), 1.6) + 1.6, height * len(names) + 0.9) as figure:
        axes = figure.add_subplot()
        title(axes, "Class by class", "IoU after each step, %" + ("; blank: not learned yet" if len(rows) > 1 else ""))
        _cells(axes, table, known, SHADES, Normalize(0, 100), digits=0 if width < 0.5 else 1, text=height > 0.2)
        axes.set_yticks(np.arange(len(names)) + 0.5, [truncate(name) for name in names])
        axes.set_xticks(np.arange(len(rows)) + 0.5, [str(row["step"]) for row in rows])
        axes.set_xlabel("after step")
        for position in borders(len(names), [len(group) for group in learned]):
            axes.axhline(position, color=PALE, linewidth=1.0 if height > 0.2 else 0.4)


def draw_confusion(path: Path, confusion: Sequence[Sequence[int]], names: Sequence[str], groups: Sequence[int]) -> None:
    """The confusion matrix after the last step, in percent of the true class.

    Of many classes only those with the strongest confusions are shown.

    Args:
        path: of the PNG.
        confusion: pixels, true class (row) by predicted class (column).
        names: of rows and columns.
        groups: number of classes that each step learned; thin lines separate them.
    """
    shares = class_shares(confusion)
    shown = most_confused(shares)
    some = f"; the {len(shown)} of {len(names)} classes that are most confused" if len(shown) < len(names) else ""
    known = [[not np.isnan(shares[row, 0])] * len(shown) for row in shown]
    cell = 0.4 if len(shown) <= 25 else 0.3
    with new_figure(path, cell * len(shown) + 1.6, cell * len(shown) + 1.2) as figure:
        axes = figure.add_subplot()
        title(axes, "What is taken for what", f"after the last step, % of the true class's pixels (its row){some}")
        table = shares[np.ix_(shown, shown)].tolist()
        _cells(axes, table, known, SHADES, PowerNorm(0.5, 0, 100), digits=0, text=True, least=0.5)
        axes.set_aspect("equal")
        labels = [truncate(names[position]) for position in shown]
        axes.set_yticks(np.arange(len(shown)) + 0.5, labels)
        axes.set_xticks(np.arange(len(shown)) + 0.5, labels, rotation=90)
        axes.set_ylabel("ground truth")
        axes.set_xlabel("prediction")
        for position in np.searchsorted(shown, borders(len(names), groups)):
            axes.axhline(position, color=PALE, linewidth=1.0)
            axes.axvline(position, color=PALE, linewidth=1.0)


def class_shares(confusion: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Percent of each true class (row) that is predicted as each class (column), (K, K); NaN without its pixels."""
    counts = np.array(confusion, dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = 100 * np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    return shares


def most_confused(shares: NDArray[np.float64], most: int = _MAX_CLASSES) -> list[int]:
    """The classes of the largest shares off the diagonal, at most `most`, ascending.

    Args:
        shares: (K, K), percent of each true class (row) predicted as each class (column); NaN if undefined.
        most: at least 2.
    """
    if len(shares) <= most:
        return list(range(len(shares)))
    wrong = np.nan_to_num(shares)
    np.fill_diagonal(wrong, -1)
    shown: set[int] = set()
    for place in np.argsort(-wrong, axis=None, kind="stable"):
        pair = {int(position) for position in np.unravel_index(place, wrong.shape)}
        if len(shown | pair) > most:
            break
        shown |= pair
    return sorted(shown)


def borders(count: int, groups: Sequence[int]) -> list[int]:
    """The positions before which a line separates the classes of two steps, or the first step's from the background.

    Args:
        count: of the classes, with the background where it is counted.
        groups: number of classes that each step learned.
    """
    starts = [count - sum(groups[step:]) for step in range(len(groups))]
    return [start for start in starts if start]


def _percentage(value: float | None) -> float | None:
    """A fraction in 0..1 in percent; None stays None."""
    return None if value is None else 100 * value


def _cells(
    axes: Axes,
    table: Sequence[Sequence[float | None]],
    known: Sequence[Sequence[bool]],
    shades: Colormap,
    norm: Normalize,
    *,
    digits: int,
    text: bool,
    least: float = 0.0,
) -> None:
    """A table of coloured cells; numbers below `least` are not written, and unknown cells are blank."""
    values = np.array(table, dtype=float)  # None becomes NaN
    axes.pcolormesh(np.ma.masked_invalid(values), cmap=shades, norm=norm, edgecolors="white", linewidth=1.2)
    axes.set_ylim(len(table), 0)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for y, x in np.argwhere(np.array(known)) if text else ():
        value = values[y, x]
        if np.isnan(value):
            axes.text(x + 0.5, y + 0.5, UNDEFINED, ha="center", va="center", color=GREY, fontsize=8)
        elif value >= least:
            light = norm(value) > 0.5
            number = f"{value:.{digits}f}"
            axes.text(x + 0.5, y + 0.52, number, ha="center", va="center", fontsize=8, color="white" if light else INK)
