"""Predicted images and exemplars."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from ssul.data.index import ImageIndex
from ssul.labels.colours import VOID_COLOUR, Colour
from ssul.labels.ids import VOID
from ssul.report.style import GREY, PALE, annotate, new_figure, title, truncate

_MAX_STEPS = 5


# --- pictures --------------------------------------------------------------------------------------------------------


def draw_examples(
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
    with new_figure(path, across, down) as figure:
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


def shown_steps(count: int, most: int = _MAX_STEPS) -> list[int]:
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
    labels = [
        f"{truncate(name)} ({since[name]})" if name in since and len(learned) > 1 else truncate(name) for name in names
    ]
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


_MAX_EXEMPLARS = 48
_ACROSS = 8
_SIDE = 160  # pixels of a thumbnail
_CHARACTERS = 20  # in a line below it


@dataclass(frozen=True)
class ShownExemplar:
    """An exemplar in the figure.

    Attributes:
        path: its image file.
        classes: the names of those that it shows as far as is known.
    """

    path: Path
    classes: tuple[str, ...]


def draw_memory(path: Path, exemplars: Sequence[ShownExemplar]) -> None:
    """The exemplars in memory during the last step, each with its classes; evenly chosen ones where there are many.

    Args:
        path: of the PNG.
        exemplars: at least one.
    """
    shown = [exemplars[place] for place in _even(len(exemplars), _MAX_EXEMPLARS)]
    across = min(_ACROSS, len(shown))
    down = math.ceil(len(shown) / across)
    with new_figure(path, 1.35 * across, 1.65 * down) as figure:
        panels = figure.subplots(down, across, squeeze=False, gridspec_kw={"wspace": 0.08, "hspace": 0.4})
        for panel in panels.flat:
            panel.set_axis_off()
        for panel, exemplar in zip(panels.flat, shown, strict=False):
            panel.imshow(_thumbnail(exemplar.path))
            words = _lines(exemplar.classes)
            annotate(panel, words, (0.5, 0), (0, -3), "axes fraction", ha="center", va="top", fontsize=7, color=GREY)
        some = f", {len(shown)} of {len(exemplars)}" if len(shown) < len(exemplars) else ""
        title(panels[0][0], "What is remembered", f"the exemplars in memory during the last step{some}")


def _even(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _lines(names: Sequence[str]) -> str:
    """Class names in at most two short lines."""
    lines = wrap(", ".join(map(truncate, names)), width=_CHARACTERS, break_long_words=True)
    return "\n".join(lines if len(lines) <= 2 else [lines[0], f"… ({len(names)} classes)"])


def _thumbnail(path: Path) -> np.ndarray[Any, Any]:
    """The centre square of a picture, small."""
    with Image.open(path, formats=("JPEG", "PNG")) as picture:  # as it was indexed: see ssul.data.pixels
        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        square = picture.convert("RGB").resize((_SIDE, _SIDE), box=(left, top, left + side, top + side))
    framed = np.array(square)
    framed[[0, -1]] = framed[:, [0, -1]] = [int(PALE[place : place + 2], 16) for place in (1, 3, 5)]
    return framed
