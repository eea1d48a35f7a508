"""Which validation images the interactive page shows: the worst ones, and those behind the cells of the confusion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssul.data.index import ImageIndex
from ssul.evaluation.image_counts import ImageCounts
from ssul.evaluation.small_masks import SmallMasks
from ssul.labels.background import Future
from ssul.labels.ids import BACKGROUND_ID, VOID

MAX_IMAGES = 200  # on the page, about 8 KB each
_MAX_WORST = 100  # of them in the lists of the worst
_WORST, _WORST_OF_CLASS, _BEHIND = 12, 4, 6  # images in one list

Scored = tuple[str, float]
"""An image and a fraction in 0..1: its IoU, or the share of its pixels that a cell holds."""
Cell = tuple[int, int]
"""Places of the true and of the predicted class in `Results.names`."""


@dataclass(frozen=True)
class Gallery:
    """Lists of validation images after the last step; every image in them is on the page.

    Attributes:
        worst: those with the lowest mean IoU, the lowest first.
        worst_of: the same for single classes that they show, by the class's place in `Results.names`.
        behind: those with the largest share of a cell's pixels, the largest first.
    """

    worst: list[Scored]
    worst_of: dict[int, list[Scored]]
    behind: dict[Cell, list[Scored]]

    @property
    def images(self) -> list[str]:
        """All of them, once each."""
        lists = [self.worst, *self.worst_of.values(), *self.behind.values()]
        return sorted({image_id for images in lists for image_id, _ in images})


def choose_images(counts: ImageCounts, masks: SmallMasks, places: NDArray[np.int64], most: int = MAX_IMAGES) -> Gallery:
    """Chooses the images.

    Args:
        counts: of each scored image after the last step.
        masks: of the same images.
        places: see `class_places`.
        most: images on the page. The worst come first, then those behind the strongest confusions; a later list holds
            only images that the page has already.
    """
    ious = {image_id: class_ious(image) for image_id, image in counts.items()}
    means = {image_id: sum(iou.values()) / len(iou) for image_id, iou in ious.items() if iou}
    on_page: set[str] = set()
    worst = _take(sorted(means.items(), key=_second), _WORST, on_page, most)
    worst_of = {}
    for place in sorted({place for image in counts.values() for place, _, true, _ in image if true}):
        shown = [(one, ious[one][place]) for one, image in counts.items() if any(c[0] == place and c[2] for c in image)]
        worst_of[place] = _take(sorted(shown, key=_second), _WORST_OF_CLASS, on_page, min(_MAX_WORST, most))
    behind = {}
    for cell, shares in _cells(masks, places):
        behind[cell] = _take(sorted(shares, key=_second, reverse=True), _BEHIND, on_page, most)
    return Gallery(worst, worst_of, behind)


def class_places(names: Sequence[str], index: ImageIndex, future: Future) -> NDArray[np.int64]:
    """The place in `Results.names` of each dataset id, (256,); -1 where a pixel is not evaluated.

    Args:
        names: as in `Results`.
        index: gives the names of the ids.
        future: what the classes count as that are not among the names.
    """
    place = {name: position for position, name in enumerate(names)}
    counted = place.get("background", -1) if future == "background" else -1
    places = np.full(VOID + 1, -1)
    for class_id in range(BACKGROUND_ID, len(index.class_names) + 1):
        places[class_id] = place.get(index.class_name(class_id), counted)
    return places


def class_ious(image: Sequence[tuple[int, int, int, int]]) -> dict[int, float]:
    """The IoU of each class that an image shows or is predicted to show, by place; see `ImageCounts`."""
    return {place: right / (true + predicted - right) for place, right, true, predicted in image}


def _take(candidates: Sequence[Scored], count: int, on_page: set[str], most: int) -> list[Scored]:
    """The first candidates that are on the page, or for which it has room."""
    taken: list[Scored] = []
    for image_id, value in candidates:
        if len(taken) == count:
            break
        if image_id in on_page or len(on_page) < most:
            on_page.add(image_id)
            taken.append((image_id, value))
    return taken


def _cells(
    masks: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]], places: NDArray[np.int64]
) -> Iterator[tuple[Cell, list[Scored]]]:
    """Every cell with the share of its pixels in each image; the strongest confusion first, the right ones last."""
    classes = int(places.max()) + 1
    found: dict[Cell, list[Scored]] = {}
    for image_id, (truth, prediction) in masks.items():
        true, predicted = places[truth], places[prediction]
        both = (true >= 0) & (predicted >= 0)
        pairs, pixels = np.unique(true[both] * classes + predicted[both], return_counts=True)
        for pair, count in zip(pairs.tolist(), pixels.tolist(), strict=True):
            found.setdefault(divmod(pair, classes), []).append((image_id, count / both.size))
    yield from sorted(found.items(), key=lambda one: (one[0][0] == one[0][1], -sum(share for _, share in one[1])))


def _second(scored: Scored) -> float:
    return scored[1]
