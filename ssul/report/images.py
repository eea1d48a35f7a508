"""Example images with their ground truth and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from ssul.data.index import ImageIndex
from ssul.labels.colours import VOID_COLOUR, Colour, id_colours
from ssul.labels.ids import BACKGROUND_NAME, VOID
from ssul.report.style import GREY, evenly_spaced, new_figure, truncate

_MAX_STEPS = 5


def draw_examples(
    path: Path, places: Sequence[Path], learned: Sequence[Sequence[str]], index: ImageIndex, palette: Sequence[Colour]
) -> None:
    """Rows of image, ground truth and prediction after each step; of many steps only some are shown.

    Args:
        path: of the PNG.
        places: a folder for each image, with image.jpg, truth.png and step_K.png.
        learned: the classes that each step learned.
        index: gives the names of the ids.
        palette: RGB 0..255 of the background and of each class.
    """
    steps = evenly_spaced(len(learned), _MAX_STEPS)
    files = ["truth.png", *(f"step_{step}.png" for step in steps)]
    rows = [SeenImage(_pixels(place / "image.jpg"), [_ids(place / file) for file in files]) for place in places]
    heads = ["ground truth", *(f"after step {step}" for step in steps)]
    draw_masks(path, "What the network sees", heads, rows, learned, names_by_id(index), palette)


def names_by_id(index: ImageIndex) -> dict[int, str]:
    """The names of background and classes by their ids."""
    return dict(enumerate((BACKGROUND_NAME, *index.class_names)))


@dataclass(frozen=True)
class SeenImage:
    """An image and masks of it.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        masks: each uint8 (H, W), dataset ids or VOID.
    """

    image: NDArray[np.uint8]
    masks: Sequence[NDArray[np.uint8]]


def draw_masks(
    path: Path,
    title: str,
    heads: Sequence[str],
    rows: Sequence[SeenImage],
    learned: Sequence[Sequence[str]],
    names: Mapping[int, str],
    palette: Sequence[Colour],
) -> None:
    """A row for each image: the image and its masks, with a legend of the classes that they show.

    Args:
        path: of the PNG.
        title: of the figure.
        heads: of the masks' columns.
        rows: with a mask for each of them.
        learned: the classes that each step learned.
        names: by id.
        palette: RGB 0..255 of the background and of each class.
    """
    colours = np.array(id_colours(palette), dtype=np.uint8).reshape(256, 3)
    table = [[row.image, *(colours[mask] for mask in row.masks)] for row in rows]
    aspect = float(np.median([row.image.shape[0] / row.image.shape[1] for row in rows]))
    width, gap = 1.75, 0.07  # inches
    columns = 1 + len(heads)
    across, down = columns * (width + gap), len(rows) * (width * aspect + gap)
    with new_figure(path, across, down) as figure:
        margins = {"left": 0, "right": 1, "bottom": 0, "top": 1}
        gaps = {"wspace": gap / width, "hspace": gap / width / aspect}
        grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw=margins | gaps)
        for cell, pixels in zip(grid.flat, (pixels for line in table for pixels in line), strict=True):
            cell.imshow(pixels, interpolation="antialiased")
            cell.set_axis_off()
        for cell, head in zip(grid[0], ["image", *heads], strict=True):
            cell.set_title(head, fontsize=9.5, color=GREY, pad=5)
        figure.text(0, 1 + 0.32 / down, title, fontsize=13, weight="bold", va="bottom")
        shown = {int(class_id) for row in rows for mask in row.masks for class_id in np.unique(mask)}
        named = {names[class_id]: palette[class_id] for class_id in shown - {VOID}}
        _legend(figure, named, learned, void=VOID in shown)


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path, formats=("JPEG", "PNG")) as image:
        return np.asarray(image.convert("RGB"))


def _ids(path: Path) -> NDArray[np.uint8]:
    with Image.open(path, formats=("PNG",)) as image:
        return np.asarray(image)


def _legend(figure: Figure, shown: Mapping[str, Colour], learned: Sequence[Sequence[str]], *, void: bool) -> None:
    """The colours of the shown classes, in learning order, with the step of each if there are several steps."""
    since = {name: step for step, group in enumerate(learned) for name in group}
    place = {name: position for position, name in enumerate(since)}
    names = sorted(shown, key=lambda name: place.get(name, -1))
    labels = [
        f"{truncate(name)} ({since[name]})" if name in since and len(learned) > 1 else truncate(name) for name in names
    ]
    colours = [shown[name] for name in names]
    if void:
        labels.append("void (not evaluated)")
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
