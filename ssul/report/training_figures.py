"""The figures of what a run learned from: its training curve, and the exemplars in its memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from ssul.report.style import GREY, INK, PALE, note, sheet, short, title

_MOST_EXEMPLARS_SHOWN = 48
_ACROSS = 8
_SIDE = 160  # pixels of a thumbnail
_CHARACTERS = 20  # in a line below it


@dataclass(frozen=True)
class ShownExemplar:
    """An exemplar in the figure.

    Attributes:
        picture: its image file.
        classes: the names of those that it shows as far as is known.
    """

    picture: Path
    classes: tuple[str, ...]


def draw_training(path: Path, curves: Sequence[Mapping[str, Any]]) -> None:
    """The loss over all iterations of all steps, with a scale of its own for each step.

    Each step minimises another sum (more classes, other losses), so heights say nothing across steps.

    Args:
        path: of the PNG.
        curves: `ssul.training.curve.Curve` as dicts, one for each step that was trained; at least one.
    """
    width = min(max(6.5, 1.6 * len(curves)), 15.0)
    with sheet(path, width, 2.6) as figure:
        panels = figure.subplots(1, len(curves), squeeze=False, gridspec_kw={"wspace": 0.35})[0]
        for panel, curve in zip(panels, curves, strict=True):
            _draw_step(panel, curve)
        title(panels[0], "How it was learned", "loss over the iterations of each step, each with its own scale")


def _draw_step(axes: Axes, curve: Mapping[str, Any]) -> None:
    points = curve["points"]
    axes.plot([one["iteration"] for one in points], [one["loss"] for one in points], color=INK, linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, curve["iterations"])
    axes.set_xticks([0, curve["iterations"]])
    axes.grid(axis="y")
    note(axes, f"step {curve['step']}", (0.5, 0), (0, -19), "axes fraction", ha="center", va="top")


def draw_memory(path: Path, exemplars: Sequence[ShownExemplar]) -> None:
    """The exemplars in memory during the last step, each with its classes; evenly chosen ones where there are many.

    Args:
        path: of the PNG.
        exemplars: at least one.
    """
    shown = [exemplars[place] for place in _even(len(exemplars), _MOST_EXEMPLARS_SHOWN)]
    across = min(_ACROSS, len(shown))
    down = math.ceil(len(shown) / across)
    with sheet(path, 1.35 * across, 1.65 * down) as figure:
        panels = figure.subplots(down, across, squeeze=False, gridspec_kw={"wspace": 0.08, "hspace": 0.4})
        for panel in panels.flat:
            panel.set_axis_off()
        for panel, exemplar in zip(panels.flat, shown, strict=False):
            panel.imshow(_thumbnail(exemplar.picture))
            words = _lines(exemplar.classes)
            note(panel, words, (0.5, 0), (0, -3), "axes fraction", ha="center", va="top", fontsize=7, color=GREY)
        some = f", {len(shown)} of {len(exemplars)}" if len(shown) < len(exemplars) else ""
        title(panels[0][0], "What is remembered", f"the exemplars in memory during the last step{some}")


def _even(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _lines(names: Sequence[str]) -> str:
    """Class names in at most two short lines."""
    lines = wrap(", ".join(map(short, names)), width=_CHARACTERS, break_long_words=True)
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
