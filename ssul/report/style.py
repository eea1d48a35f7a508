"""The style of all figures: colours for colour-blind readers, one font, the same bytes for the same numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssul.io.atomic import replace_file

INK, GREY, PALE, FAINT = "#22262e", "#6b7280", "#b6bcc6", "#e5e7eb"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same on every machine
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a class name is not a formula
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "savefig.dpi": 120,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.2,
}
_LONGEST_NAME = 24  # characters of a class name


@contextmanager
def new_figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of width x height inches in the shared style; it is saved if the block raises nothing."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height))
        yield figure
        with replace_file(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


def title(axes: Axes, words: str, subtitle: str) -> None:
    """A title and, below it, the content and its unit."""
    annotate(axes, words, (0, 1), (0, 27), "axes fraction", va="bottom", fontsize=13, weight="bold")
    annotate(axes, subtitle, (0, 1), (0, 11), "axes fraction", va="bottom", color=GREY)


def annotate(
    axes: Axes, words: str, place: tuple[float, float], offset: tuple[float, float], coordinates: Any, **look: Any
) -> None:
    """Writes words at a place, shifted by an offset in points; they may be outside the axes."""
    axes.annotate(
        words, place, xytext=offset, xycoords=coordinates, textcoords="offset points", annotation_clip=False, **look
    )


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` of `count` positions: all, or the first, the last and evenly spaced ones between."""
    if count <= most:
        return list(range(count))
    return [round(position * (count - 1) / (most - 1)) for position in range(most)]


def truncate(name: str) -> str:
    """A class name, shortened if it is long."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
