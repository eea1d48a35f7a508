"""Saved example images with their predictions."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from ssul.data.index import ImageIndex
from ssul.evaluation.evaluate import EvaluatedImage
from ssul.labels.colours import Colour, id_colours

_JPEG_QUALITY = 95


def choose_examples(index: ImageIndex, count: int) -> list[str]:
    """Chooses the validation images that are kept as examples.

    The choice is greedy: each image is the one that shows the most classes that the images before it rarely show.
    It depends on the index alone, so that all steps and all experiments show the same images.
    """
    counts: dict[int, int] = {}
    chosen: list[str] = []
    rows = index.present
    while rows and len(chosen) < count:
        best = max(rows, key=lambda image_id: (sum(1.0 / (1 + 4 * counts.get(c, 0)) for c in rows[image_id]), image_id))
        for class_id in rows.pop(best):
            counts[class_id] = counts.get(class_id, 0) + 1
        chosen.append(best)
    return chosen


def save_examples(
    evaluated: Iterable[EvaluatedImage], ids: Collection[str], folder: Path, *, step: int, palette: Sequence[Colour]
) -> Iterator[EvaluatedImage]:
    """Passes predictions on and saves those of some images.

    Args:
        evaluated: predictions after a step.
        ids: of the images that are saved.
        folder: gets a folder for each of them.
        step: its index.
        palette: RGB of the background and of each class.
    """
    for one in evaluated:
        if one.image.id in ids:
            _save(one, folder / one.image.id.replace("/", "__"), step, palette)
        yield one


def save_labels(path: Path, labels: Tensor, palette: Sequence[Colour]) -> None:
    """Writes dataset ids uint8 (H, W) as a palette PNG.

    Args:
        path: the file.
        labels: 0 background, 1.. classes, or VOID.
        palette: RGB 0..255 for each id from 0; void gets VOC's cream.
    """
    image = Image.fromarray(labels.cpu().numpy())
    image.putpalette(id_colours(palette))
    image.save(path)


def _save(evaluated: EvaluatedImage, place: Path, step: int, palette: Sequence[Colour]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    pixels = evaluated.image.image.permute(1, 2, 0).contiguous()  # (H, W, 3)
    Image.fromarray(pixels.numpy()).save(place / "image.jpg", quality=_JPEG_QUALITY)
    save_labels(place / "truth.png", evaluated.image.mask, palette)
    save_labels(place / f"step_{step}.png", evaluated.prediction, palette)
