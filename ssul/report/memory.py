"""The figure of the exemplar memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssul.config.paths import Layout, data_root
from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths
from ssul.memory.exemplars import read_exemplars
from ssul.report.inline import central_square
from ssul.report.style import GREY, PALE, annotate, evenly_spaced, new_figure, title, truncate

_MAX_EXEMPLARS = 48
_ACROSS = 8
_SIDE = 160  # pixels of a thumbnail
_CHARACTERS = 20  # in a line below it


@dataclass(frozen=True)
class ShownExemplar:
    """An exemplar in the figure.

    Attributes:
        path: its image file.
        classes: the names of the classes that it is known to show.
    """

    path: Path
    classes: tuple[str, ...]


def shown_exemplars(layout: Layout, root: str | None, step: int) -> tuple[list[ShownExemplar], int]:
    """The exemplars in memory during a step, as the figure shows them.

    Args:
        layout: the paths of index and memory.
        root: `data.root`.
        step: index.

    Returns:
        The exemplars whose image files exist, and the number of the others.
    """
    index = ImageIndex.read(layout.index("train"))
    paths = ImagePaths(data_root(root, layout), index.files)
    exemplars = [
        ShownExemplar(paths.image(exemplar.id), tuple(index.class_name(class_id) for class_id in exemplar.classes))
        for exemplar in read_exemplars(layout.memory(step))
    ]
    found = [exemplar for exemplar in exemplars if exemplar.path.is_file()]
    return found, len(exemplars) - len(found)


def draw_memory(path: Path, exemplars: Sequence[ShownExemplar]) -> None:
    """The exemplars in memory during the last step, each with its classes; of many an evenly spaced selection.

    Args:
        path: of the PNG.
        exemplars: at least one.
    """
    shown, which = select_shown(exemplars)
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
        title(panels[0][0], "What is remembered", which)


def select_shown(exemplars: Sequence[ShownExemplar]) -> tuple[list[ShownExemplar], str]:
    """The exemplars that a reader sees, of many an evenly spaced selection; and which they are, in words."""
    shown = [exemplars[place] for place in evenly_spaced(len(exemplars), _MAX_EXEMPLARS)]
    some = f", {len(shown)} of {len(exemplars)}" if len(shown) < len(exemplars) else ""
    return shown, f"the exemplars in memory during the last step{some}"


def _lines(names: Sequence[str]) -> str:
    """Class names in at most two short lines."""
    lines = wrap(", ".join(map(truncate, names)), width=_CHARACTERS, break_long_words=True)
    return "\n".join(lines if len(lines) <= 2 else [lines[0], f"… ({len(names)} classes)"])


def _thumbnail(path: Path) -> NDArray[np.uint8]:
    """The centre square of an image, small."""
    with Image.open(path, formats=("JPEG", "PNG")) as image:  # the formats of ssul.data.image_files
        square = image.convert("RGB").resize((_SIDE, _SIDE), box=central_square(image.size))
    framed = np.array(square)
    framed[[0, -1]] = framed[:, [0, -1]] = [int(PALE[place : place + 2], 16) for place in (1, 3, 5)]
    return framed
