"""What the script of the interactive page reads: scores, curves, and images with their masks as class ids."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths
from ssul.evaluation.results import Results
from ssul.evaluation.small_masks import SmallMasks
from ssul.labels.background import Future
from ssul.labels.colours import VOID_COLOUR, Colour
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME
from ssul.report.gallery import Cell, Gallery, Scored
from ssul.report.inline import inline_image, inline_masks, read_ids
from ssul.report.rows import learned_classes, step_rows
from ssul.report.style import evenly_spaced

_LONGEST_SIDE = 640  # pixels of an example image on the page
_MAX_POINTS = 300  # of a loss curve
_DIGITS = 4


def page_data(
    results: Results,
    gallery: Gallery,
    *,
    index: ImageIndex,
    palette: Sequence[Colour],
    future: Future,
    examples: Sequence[Path],
    masks: SmallMasks,
    paths: ImagePaths,
    square: bool,
) -> dict[str, Any]:
    """The data as JSON; html/page.js says by its use what each entry is.

    Args:
        results: of all steps.
        gallery: the images beside the examples.
        index: of the validation images.
        palette: RGB 0..255 of the background and of each class.
        future: what pixels of later classes count as.
        examples: the folders of the example images.
        masks: of the gallery's images.
        paths: of their photographs.
        square: whether only central squares were evaluated.
    """
    classes = _classes(results, index, palette)
    ids = {one["name"]: one["id"] for one in classes}
    return {
        "future": future,
        "void": hex_colour(VOID_COLOUR),
        "classes": classes,
        "scores": step_rows(results),
        "training": [_loss(curve) for curve in results.training],
        "examples": [[place.name, _example(place, len(results.rows))] for place in examples],
        "images": {one: _small(paths.image(one), masks, one, square=square) for one in gallery.images},
        "worst": {"": _rounded(gallery.worst)}
        | {results.names[place]: _rounded(images) for place, images in gallery.worst_of.items() if images},
        "cells": {
            cell_key((ids[results.names[true]], ids[results.names[predicted]])): _rounded(images)
            for (true, predicted), images in gallery.behind.items()
            if images
        },
    }


def cell_key(ids: Cell) -> str:
    """The name of a cell of the confusion matrix, from the dataset ids of the true and of the predicted class."""
    return f"{ids[0]}-{ids[1]}"


def hex_colour(colour: Colour) -> str:
    """A colour as CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _classes(results: Results, index: ImageIndex, palette: Sequence[Colour]) -> list[dict[str, Any]]:
    """All classes of the dataset; `step` is None where none learns it."""
    learned = learned_classes(results.names, results.group_sizes)
    since: dict[str, int] = {BACKGROUND_NAME: 0} | {name: step for step, group in enumerate(learned) for name in group}
    return [
        {
            "id": class_id,
            "name": (name := index.class_name(class_id)),
            "colour": hex_colour(palette[class_id]),
            "step": since.get(name),
            "iou": [_short(row["iou"].get(name)) for row in results.rows],
        }
        for class_id in range(BACKGROUND_ID, len(index.class_names) + 1)
    ]


def _example(place: Path, steps: int) -> dict[str, Any]:
    """An example image with its ground truth and the prediction after each step."""
    with Image.open(place / "image.jpg", formats=("JPEG",)) as image:
        scale = min(1.0, _LONGEST_SIDE / max(image.size))
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    names = ["truth", *(f"step_{step}" for step in range(steps))]
    masks = [read_ids(place / f"{name}.png", size) for name in names]
    return _image(inline_image(place / "image.jpg", size), size) | {"masks": inline_masks(masks)}


def _small(path: Path, masks: SmallMasks, image_id: str, *, square: bool) -> dict[str, Any]:
    """An image with its ground truth and the last prediction; without the photograph if its file is missing."""
    height, width = masks[image_id][0].shape
    photograph = inline_image(path, (width, height), square=square) if path.is_file() else None
    return _image(photograph, (width, height)) | {"masks": inline_masks(masks[image_id])}


def _image(image: str | None, size: tuple[int, int]) -> dict[str, Any]:
    return {"w": size[0], "h": size[1], "image": image}


def _loss(curve: Mapping[str, Any]) -> dict[str, Any]:
    points = [[point["iteration"], _short(point["loss"])] for point in curve["points"]]
    kept = [points[place] for place in evenly_spaced(len(points), _MAX_POINTS)]
    return {"step": curve["step"], "iterations": curve["iterations"], "points": kept}


def _rounded(images: Sequence[Scored]) -> list[tuple[str, float | None]]:
    return [(image_id, _short(value)) for image_id, value in images]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
