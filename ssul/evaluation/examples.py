"""Saved example images with their predictions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from ssul.data.index import ImageIndex
from ssul.evaluation.evaluate import EvaluatedImage
from ssul.labels.colours import Colour, id_colours

_JPEG_QUALITY = 95
_NEARLY_THE_SAME = 0.75
"""The part of the best image's worth from which on images count as equal. Strictly equal ones would not do: where a few
neighbours alone show every class, each of them stays worth a little more than any other image."""


def choose_examples(index: ImageIndex, count: int) -> list[str]:
    """Chooses the validation images that are kept as examples.

    The choice is greedy. An image is worth more, the more classes it shows that the images before it rarely show. Of
    images that are worth nearly the same, the farthest from those before it in the order of the ids is chosen, because
    neighbours in a video look alike; the first is in the middle. The choice depends on the index alone, so that all
    steps and all experiments show the same images.
    """
    rows = dict(sorted(index.present.items()))
    place = {image_id: position for position, image_id in enumerate(rows)}
    shown: Counter[int] = Counter()
    chosen: list[str] = []
    for _ in range(min(count, len(rows))):
        left = [one for one in rows if one not in chosen]
        worth = {one: sum(1 / (1 + 4 * shown[class_id]) for class_id in rows[one]) for one in left}
        enough = _NEARLY_THE_SAME * max(worth.values())
        equal = [one for one in left if worth[one] >= enough]
        taken = [place[one] for one in chosen]
        chosen.append(max(equal, key=lambda one: _distance(place[one], taken, len(rows))))
        shown.update(rows[chosen[-1]])
    return chosen


def save_examples(evaluated: Iterable[EvaluatedImage], folder: Path, *, step: int, palette: Sequence[Colour]) -> None:
    """Saves images with their ground truth and prediction.

    Args:
        evaluated: predictions after a step.
        folder: gets a folder for each of them.
        step: its index.
        palette: RGB of the background and of each class.
    """
    for one in evaluated:
        _save(one, folder / one.image.id.replace("/", "__"), step, palette)


def save_labels(path: Path, labels: Tensor, palette: Sequence[Colour]) -> None:
    """Writes dataset ids uint8 (H, W) as a palette PNG.

    The ids are not turned back into the values of the mask files, because those may have none for the background, which
    a network may predict all the same.

    Args:
        path: the file.
        labels: 0 background, 1.. classes, or VOID.
        palette: RGB 0..255 for each id from 0; void gets VOC's cream.
    """
    image = Image.fromarray(labels.cpu().numpy())
    image.putpalette(id_colours(palette))
    image.save(path)


def _distance(position: int, taken: Sequence[int], count: int) -> int:
    """How far a position of 0..count-1 is from the nearest taken one; from the nearer end, where none is taken."""
    return min(abs(position - other) for other in taken or (-1, count))


def _save(evaluated: EvaluatedImage, place: Path, step: int, palette: Sequence[Colour]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    pixels = evaluated.image.image.permute(1, 2, 0).contiguous()  # (H, W, 3)
    Image.fromarray(pixels.numpy()).save(place / "image.jpg", quality=_JPEG_QUALITY)
    save_labels(place / "truth.png", evaluated.image.mask, palette)
    save_labels(place / f"step_{step}.png", evaluated.prediction, palette)
