"""All figures of the report."""

from collections.abc import Sequence
from pathlib import Path

from ssul.data.index import ImageIndex
from ssul.evaluation.results import Results
from ssul.labels.colours import Colour
from ssul.report.curves import draw_curves, draw_training
from ssul.report.heatmaps import draw_class_iou, draw_confusion
from ssul.report.images import draw_examples
from ssul.report.memory import ShownExemplar, draw_memory
from ssul.report.rows import learned_classes


def draw_all(
    folder: Path,
    results: Results,
    *,
    examples: Sequence[Path],
    exemplars: Sequence[ShownExemplar],
    index: ImageIndex,
    palette: Sequence[Colour],
) -> list[str]:
    """Draws every figure that has content, and returns the file names.

    Args:
        folder: gets the PNGs.
        results: of all steps.
        examples: a folder for each example image; may be empty.
        exemplars: in memory during the last step; may be empty.
        index: gives the names of the class ids in the example images.
        palette: RGB 0..255 of the background and of each class.
    """
    rows, learned = results.rows, learned_classes(results.names, results.group_sizes)
    draw_curves(folder / "miou_per_step.png", rows, learned)
    draw_class_iou(folder / "class_iou.png", rows, learned)
    draw_confusion(folder / "confusion.png", results.confusion, results.names, results.group_sizes)
    if examples:
        draw_examples(folder / "examples.png", examples, learned, index, palette)
    if results.training:
        draw_training(folder / "training.png", results.training)
    if exemplars:
        draw_memory(folder / "memory.png", exemplars)
    return sorted(path.name for path in folder.glob("*.png"))
