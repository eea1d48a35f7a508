"""All figures of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssul.data.index import ImageIndex
from ssul.labels.colours import Colour
from ssul.report.curves import draw_curves
from ssul.report.heatmaps import draw_class_iou, draw_confusion
from ssul.report.images import draw_examples


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
        draw_examples(folder / "pictures.png", kept, learned, index, palette)
    return sorted(path.name for path in folder.glob("*.png"))
