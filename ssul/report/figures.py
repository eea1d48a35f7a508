"""The figures of a run: curves over the steps, class by class, what is taken for what, pictures."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from ssul.data.index import ImageIndex
from ssul.files import VOID, VOID_COLOUR, Colour
from ssul.report.style import GREY, INK, PALE, note, sheet, short, title
from ssul.report.tables import UNDEFINED, summary

CURVES = {"old": ("#0072b2", "o"), "all": (INK, "s"), "new": ("#d55e00", "^")}  # Okabe and Ito's colours
SHADES = LinearSegmentedColormap.from_list("ssul", ["#eef4f5", "#a8d5cf", "#4a9fb5", "#27608f", "#1f2a5c"])
_MOST_STEPS_SHOWN = 5
_MOST_CLASSES_CONFUSED = 40  # more rows and columns than these nobody reads


def draw_all(
    folder: Path,
    *,
    rows: Sequence[Mapping[str, Any]],
    learned: Sequence[Sequence[str]],
    confusion: Sequence[Sequence[int]],
    pictures: Path,
    index: ImageIndex,
    palette: Sequence[Colour],
) -> list[str]:
    """Draws every figure that there is something to show for, and returns their file names.

    Args:
        folder: gets the PNGs.
        rows: `Scores` as dicts, one a step.
        learned: the classes that each step learned.
        confusion: pixels, true class (row) by predicted class (column), over the classes of the last row.
        pictures: the folder with one folder for each picture.
        index: gives the names of the ids in the pictures.
        palette: RGB 0..255 of the background and of each class.
    """
    draw_curves(folder / "miou_per_step.png", rows, learned)
    draw_class_iou(folder / "class_iou.png", rows, learned)
    draw_confusion(folder / "confusion.png", confusion, list(rows[-1]["iou"]), [len(group) for group in learned])
    kept = sorted(place for place in pictures.iterdir() if place.is_dir()) if pictures.is_dir() else []
    if kept:
        draw_pictures(folder / "pictures.png", kept, learned, index, palette)
    return sorted(path.name for path in folder.glob("*.png"))


# --- curves ----------------------------------------------------------------------------------------------------------


def draw_curves(path: Path, rows: Sequence[Mapping[str, Any]], learned: Sequence[Sequence[str]]) -> None:
    """Mean IoU of old, new and all classes over the steps; below each step the classes that it learned.

    Args:
        path: of the PNG.
        rows: `Scores` as dicts, one a step, or rows of reports/miou_per_step.json.
        learned: the classes that each step learned.
    """
    steps = len(rows)
    width = min(max(6.5, 1.05 * steps + 1.0), 15.0)
    with sheet(path, width, 4.0) as figure:
        axes = figure.add_subplot()
        title(axes, "What is kept and what is learned", "mean IoU on the validation images after each step, %")
        curves = CURVES if steps > 1 else ("all",)  # old is all where nothing is learned later
        ends = {name: end for name in curves if (end := _curve(axes, name, rows)) is not None}
        axes.set_ylim(0, 100)
        axes.set_xlim(-0.25, max(steps - 0.75, 0.25))
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        for name, place in _apart(ends, gap=6.5).items():
            note(
                axes,
                f"{name}  {ends[name]:.1f}",
                (steps - 1, place),
                (12, 0),
                "data",
                va="center",
                color=CURVES[name][0],
                weight="bold",
            )
        _step_ticks(axes, learned, room=(width - 1.0) / steps)


def _curve(axes: Axes, name: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Draws one score in percent and returns where it ends; None if it is nowhere defined."""
    points = [(row["step"], 100 * row[name]) for row in rows if row[name] is not None]
    if not points:
        return None
    colour, marker = CURVES[name]
    steps, values = zip(*points, strict=True)
    axes.plot(steps, values, color=colour, marker=marker, markersize=5, linewidth=2, clip_on=False)
    return float(values[-1])


def _step_ticks(axes: Axes, learned: Sequence[Sequence[str]], *, room: float) -> None:
    """Numbers the steps and names their classes; the names stand upright where a step has little room (inches)."""
    upright = room < 0.85
    axes.set_xticks(range(len(learned)), [str(step) if upright else f"step {step}" for step in range(len(learned))])
    for step, names in enumerate(learned):
        if upright:
            words = summary(names)
        else:
            lines = wrap(", ".join(names), width=max(11, int(room * 11)), break_long_words=False)
            words = "\n".join(lines if len(lines) <= 5 else [*lines[:4], f"... ({len(names)} classes)"])
        note(
            axes,
            words,
            (step, 0),
            (0, -19),
            axes.get_xaxis_transform(),
            ha="center",
            va="top",
            rotation=90 if upright else 0,
            fontsize=8.5,
            linespacing=1.35,
        )


def _apart(values: Mapping[str, float], *, gap: float) -> dict[str, float]:
    """Places in 0..100 for labels: at their values, but at least `gap` from each other, moved little."""
    names = sorted(values, key=lambda name: values[name])
    places = [values[name] for name in names]
    for _ in range(50):
        for low, high in pairwise(range(len(places))):
            overlap = max(0.0, gap - (places[high] - places[low]))
            places[low] -= overlap / 2
            places[high] += overlap / 2
    lift = max(0.0, -places[0]) - max(0.0, places[-1] - 100) if places else 0.0
    return {name: place + lift for name, place in zip(names, places, strict=True)}


# --- class by class --------------------------------------------------------------------------------------------------


def draw_class_iou(path: Path, rows: Sequence[Mapping[str, Any]], learned: Sequence[Sequence[str]]) -> None:
    """IoU of each class (row) after each step (column), in percent; blank before the class is learned.

    Args:
        path: of the PNG.
        rows: `Scores` as dicts, one a step.
        learned: the classes that each step learned.
    """
    names = list(rows[-1]["iou"])
    table = [[_percent(row["iou"].get(name)) if name in row["iou"] else None for row in rows] for name in names]
    known = [[name in row["iou"] for row in rows] for name in names]
    width, height = (0.62 if len(rows) <= 20 else 0.34), (0.27 if len(names) <= 60 else 0.17)
    with sheet(path, max(width * len(rows), 1.6) + 1.6, height * len(names) + 0.9) as figure:
        axes = figure.add_subplot()
        title(axes, "Class by class", "IoU after each step, %" + ("; blank: not learned yet" if len(rows) > 1 else ""))
        _cells(axes, table, known, SHADES, Normalize(0, 100), digits=0 if width < 0.5 else 1, text=height > 0.2)
        axes.set_yticks(np.arange(len(names)) + 0.5, [short(name) for name in names])
        axes.set_xticks(np.arange(len(rows)) + 0.5, [str(row["step"]) for row in rows])
        axes.set_xlabel("after step")
        for position in np.cumsum([1, *map(len, learned)])[:-1]:
            axes.axhline(position, color=PALE, linewidth=1.0 if height > 0.2 else 0.4)


def draw_confusion(path: Path, confusion: Sequence[Sequence[int]], names: Sequence[str], groups: Sequence[int]) -> None:
    """Where each true class's pixels went after the last step, in percent of the class.

    Of many classes only those with the strongest confusions are shown.

    Args:
        path: of the PNG.
        confusion: pixels, true class (row) by predicted class (column).
        names: of rows and columns.
        groups: number of classes that each step learned: thin lines part them.
    """
    counts = np.array(confusion, dtype=float)  # (classes, classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    shown = most_confused(shares)
    some = f"; the {len(shown)} of {len(names)} classes that are most confused" if len(shown) < len(names) else ""
    known = [[bool(totals[row, 0])] * len(shown) for row in shown]
    cell = 0.4 if len(shown) <= 25 else 0.3
    with sheet(path, cell * len(shown) + 1.6, cell * len(shown) + 1.2) as figure:
        axes = figure.add_subplot()
        title(axes, "What is taken for what", f"after the last step, % of the true class's pixels (its row){some}")
        table = shares[np.ix_(shown, shown)].tolist()
        _cells(axes, table, known, SHADES, PowerNorm(0.5, 0, 100), digits=0, text=True, least=0.5)
        axes.set_aspect("equal")
        labels = [short(names[position]) for position in shown]
        axes.set_yticks(np.arange(len(shown)) + 0.5, labels)
        axes.set_xticks(np.arange(len(shown)) + 0.5, labels, rotation=90)
        axes.set_ylabel("truth")
        axes.set_xlabel("prediction")
        for position in np.searchsorted(shown, np.cumsum([1, *groups])[:-1]):
            axes.axhline(position, color=PALE, linewidth=1.0)
            axes.axvline(position, color=PALE, linewidth=1.0)


def most_confused(shares: NDArray[np.float64], most: int = _MOST_CLASSES_CONFUSED) -> list[int]:
    """The classes of the largest shares off the diagonal, at most `most`, ascending.

    Args:
        shares: (K, K), the part of each true class (row) that was taken for each class (column); NaN where undefined.
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
    """A table of coloured cells; numbers below `least` are not written, unknown cells stay blank."""
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


# --- pictures --------------------------------------------------------------------------------------------------------


def draw_pictures(
    path: Path,
    places: Sequence[Path],
    learned: Sequence[Sequence[str]],
    index: ImageIndex,
    palette: Sequence[Colour],
) -> None:
    """Rows of image, truth and what was predicted after each step (after some, where there are many).

    Args:
        path: of the PNG.
        places: a folder for each picture, with image.jpg, truth.png and step_K.png.
        learned: the classes that each step learned.
        index: gives the names of the ids.
        palette: RGB 0..255 of the background and of each class.
    """
    steps = shown_steps(len(learned))
    heads = ["image", "truth", *(f"after step {step}" for step in steps)]
    files = ["image.jpg", "truth.png", *(f"step_{step}.png" for step in steps)]
    table = [[_picture(place / file) for file in files] for place in places]
    aspect = float(np.median([line[0].shape[0] / line[0].shape[1] for line in table]))
    width, gap = 1.75, 0.07  # inches
    across, down = len(files) * (width + gap), len(places) * (width * aspect + gap)
    with sheet(path, across, down) as figure:
        grid = figure.subplots(
            len(places),
            len(files),
            squeeze=False,
            gridspec_kw={
                "left": 0,
                "right": 1,
                "bottom": 0,
                "top": 1,
                "wspace": gap / width,
                "hspace": gap / width / aspect,
            },
        )
        for cell, pixels in zip(grid.flat, (pixels for line in table for pixels in line), strict=True):
            cell.imshow(pixels, interpolation="antialiased")
            cell.set_axis_off()
        for cell, head in zip(grid[0], heads, strict=True):
            cell.set_title(head, fontsize=9.5, color=GREY, pad=5)
        figure.text(0, 1 + 0.32 / down, "What the network sees", fontsize=13, weight="bold", va="bottom")
        shown = _ids_shown([place / file for place in places for file in files[1:]])
        colours = {index.class_name(class_id): palette[class_id] for class_id in shown - {VOID}}
        _legend(figure, colours, learned, void=VOID in shown)


def shown_steps(count: int, most: int = _MOST_STEPS_SHOWN) -> list[int]:
    """Which of `count` steps are shown: all, or the first, the last and evenly spread ones between."""
    if count <= most:
        return list(range(count))
    return [round(position * (count - 1) / (most - 1)) for position in range(most)]


def _picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path, formats=("JPEG", "PNG")) as picture:
        return np.asarray(picture.convert("RGB"))


def _ids_shown(files: Sequence[Path]) -> set[int]:
    ids: set[int] = set()
    for path in files:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            ids |= set(np.unique(np.asarray(picture)).tolist())
    return ids


def _legend(figure: Figure, shown: Mapping[str, Colour], learned: Sequence[Sequence[str]], *, void: bool) -> None:
    """The colours of the classes that are seen, in learning order, with their step where there are many."""
    since = {name: step for step, group in enumerate(learned) for name in group}
    place = {name: position for position, name in enumerate(since)}
    names = sorted(shown, key=lambda name: place.get(name, -1))
    labels = [f"{short(name)} ({since[name]})" if name in since and len(learned) > 1 else short(name) for name in names]
    colours = [shown[name] for name in names]
    if void:
        labels.append("void (not judged)")
        colours.append(VOID_COLOUR)
    legend = figure.legend(
        [Rectangle((0, 0), 1, 1, facecolor=_unit(colour), edgecolor=GREY, linewidth=0.5) for colour in colours],
        labels,
        loc="upper left",
        bbox_to_anchor=(0, -0.1 / figure.get_figheight()),
        borderaxespad=0,
        borderpad=0,
        ncols=max(2, int(figure.get_figwidth() / 1.5)),
        frameon=False,
        fontsize=8.5,
        handlelength=1.1,
        handleheight=1.1,
        title="classes" + (" (and the step that learns them)" if len(learned) > 1 else ""),
        title_fontsize=8.5,
        alignment="left",
    )
    legend.get_title().set_color(GREY)


def _unit(colour: Colour) -> tuple[float, ...]:
    return tuple(channel / 255 for channel in colour)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
