"""COCO's instance annotations: polygons, and run lengths (RLE) with or without compression."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssul.convert.annotations import AnnotatedImage, Annotations, posix_name, require_folder, require_library
from ssul.convert.painting import Instance, paint
from ssul.data.image_files import UnreadableImageError
from ssul.data.layout import invalid_id_reason
from ssul.errors import UserError
from ssul.io.strict_json import read_json
from ssul.labels.ids import BACKGROUND_NAME

_COMPRESSED = re.compile(r"(?:[P-o]{0,6}[0-O])*")
"""COCO's numbers of 5 bits a character. pycocotools reads and writes beyond its memory where the last one goes on."""


@dataclass(frozen=True)
class _Image:
    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class _Category:
    id: int
    name: str


@dataclass(frozen=True)
class _RunLengths:
    size: tuple[int, int]
    counts: str | list[int]


@dataclass(frozen=True)
class _Annotation:
    image_id: int
    category_id: int | None = None
    id: int | str = 0
    segmentation: list[list[float]] | _RunLengths | None = None
    iscrowd: int = 0
    segments_info: Any = None


@dataclass(frozen=True)
class _File:
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def read_coco(path: Path, images: Path) -> Annotations:
    """Reads a COCO file; a category `background` is the background, the others are classes by ascending id.

    Args:
        path: the JSON.
        images: the folder of the images.

    Raises:
        UserError: if pycocotools is missing, or the file is damaged or contradicts itself.
    """
    require_library("pycocotools")
    require_folder(images)
    content = read_json(path, _File, what="the annotation file", way_out="export them anew in COCO's format")
    _check(path, content)
    categories = sorted(content.categories, key=lambda one: one.id)
    classes = tuple(one.name for one in categories if one.name != BACKGROUND_NAME)
    value_of = {one.id: 0 if one.name == BACKGROUND_NAME else classes.index(one.name) + 1 for one in categories}
    of_image: dict[int, list[_Annotation]] = defaultdict(list)
    for one in content.annotations:
        of_image[one.image_id].append(one)
    notes: Counter[str] = Counter()
    found = tuple(
        AnnotatedImage(
            posix_name(one.file_name),
            images / posix_name(one.file_name),
            partial(_paint, one, of_image[one.id], value_of, notes),
        )
        for one in sorted(content.images, key=lambda one: one.file_name)
    )
    return Annotations(classes, found, notes=notes)


def _check(path: Path, content: _File) -> None:
    images, categories = {one.id for one in content.images}, {one.id for one in content.categories}
    if any(one.segments_info is not None for one in content.annotations):
        raise UserError(f"{path} is in COCO's panoptic format: convert instances_*.json, which has the outlines")
    faults = {
        "two images with one id": len(images) < len(content.images),
        "two images with one file_name": len({one.file_name for one in content.images}) < len(content.images),
        "two categories with one id": len(categories) < len(content.categories),
        "two categories with one name": len({one.name for one in content.categories}) < len(content.categories),
        "annotations of images that it does not list": any(one.image_id not in images for one in content.annotations),
        "annotations of categories that it does not list": any(
            one.category_id not in categories for one in content.annotations
        ),
        "no image": not images,
        "no category": not categories,
    }
    if wrong := [what for what, is_so in faults.items() if is_so]:
        raise UserError(f"the annotations {path} have {', '.join(wrong)}: export them anew in COCO's format")
    outside = [one.file_name for one in content.images if invalid_id_reason(posix_name(one.file_name))]
    if outside:
        named = ", ".join(map(repr, outside[:8]))
        raise UserError(f"the annotations {path} name images outside --images, or with control characters: {named}")


def _paint(
    image: _Image,
    annotations: Sequence[_Annotation],
    value_of: Mapping[int, int],
    notes: Counter[str],
    height: int,
    width: int,
) -> NDArray[np.uint8]:
    if (image.height, image.width) != (height, width):
        raise UnreadableImageError(
            f"the image is {width}x{height} pixels as it is stored, its annotations are of {image.width}x{image.height}"
        )
    instances = []
    for one in annotations:
        assert one.category_id is not None  # checked
        pixels = _pixels(one, height, width, notes)
        instance = Instance.of(value_of[one.category_id], pixels, crowd=bool(one.iscrowd))
        if instance is None:
            notes["outlines hold no pixel of their image and are left out"] += 1
        else:
            instances.append(instance)
        notes["crowds are painted as their class, below all other outlines"] += bool(one.iscrowd)
    notes["images have no annotation and are all background"] += not annotations
    return paint(instances, height, width)


def _pixels(one: _Annotation, height: int, width: int, notes: Counter[str]) -> NDArray[np.bool_]:
    from pycocotools import mask  # late: an optional library

    encoded: Any
    if not one.segmentation:
        raise UnreadableImageError(f"annotation {one.id} has no outline, perhaps only a box")
    if isinstance(one.segmentation, _RunLengths):
        encoded = _encoded(one.id, one.segmentation, height, width)
    else:
        encoded = mask.merge(mask.frPyObjects(_polygons(one.id, one.segmentation, height, width, notes), height, width))
    try:
        return np.asarray(mask.decode(encoded), dtype=np.bool_)
    except ValueError:
        raise UnreadableImageError(f"annotation {one.id} has run lengths of more pixels than the image") from None


def _encoded(name: int | str, lengths: _RunLengths, height: int, width: int) -> dict[str, Any]:
    """Run lengths that pycocotools can decode without harm."""
    from pycocotools import mask

    if lengths.size != (height, width):
        raise UnreadableImageError(f"annotation {name} has run lengths of {lengths.size[1]}x{lengths.size[0]} pixels")
    if isinstance(lengths.counts, str):
        if not _COMPRESSED.fullmatch(lengths.counts):
            raise UnreadableImageError(f"annotation {name} has damaged run lengths")
        return {"size": [height, width], "counts": lengths.counts.encode()}
    if any(count < 0 for count in lengths.counts) or sum(lengths.counts) != height * width:
        raise UnreadableImageError(f"annotation {name} has run lengths that are not of {width}x{height} pixels")
    found: dict[str, Any] = mask.frPyObjects({"size": [height, width], "counts": lengths.counts}, height, width)
    return found


def _polygons(
    name: int | str, polygons: list[list[float]], height: int, width: int, notes: Counter[str]
) -> list[list[float]]:
    """Polygons that pycocotools can draw: those near the image, which it clips."""
    beyond = False
    for points in polygons:
        if len(points) < 6 or len(points) % 2:
            raise UnreadableImageError(f"annotation {name} has a polygon of {len(points)} numbers, not of 3 points")
        share = np.reshape(points, (-1, 2)) / (width, height)
        if share.min() < -1 or share.max() > 2:  # pycocotools would need memory for each point of such a line
            raise UnreadableImageError(f"annotation {name} lies far outside the image: is it of another size?")
        beyond |= bool(share.min() < 0 or share.max() > 1)
    notes["outlines are cut off at the edge of their image"] += beyond
    return polygons
