"""LabelMe's annotations: one JSON an image, with the outlines of its objects."""

import base64
import binascii
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw

from ssul.convert.annotations import AnnotatedImage, Annotations, posix_name, require_folder
from ssul.convert.painting import Instance, paint
from ssul.data import image_files
from ssul.data.image_files import UnreadableImageError
from ssul.errors import UserError
from ssul.io.strict_json import read_json
from ssul.labels.ids import BACKGROUND_ID, VOID

SPECIAL = {"_background_": BACKGROUND_ID, "__ignore__": VOID}
"""The labels with which LabelMe's own tools mean the background and pixels that are not annotated."""
_POINTS = {"polygon": (3, None), "rectangle": (2, 2), "circle": (2, 2), "oriented_rectangle": (4, 4), "mask": (2, 2)}
"""Shapes with an area, and how many points they have at least and at most."""
_WITHOUT_AREA = ("point", "line", "linestrip", "points", "lines")


@dataclass(frozen=True)
class _Shape:
    label: str
    points: list[tuple[float, float]]
    shape_type: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class _File:
    shapes: list[_Shape]
    imagePath: str  # noqa: N815 (LabelMe's name)
    imageData: str | None = None  # noqa: N815


def read_labelme(folder: Path, classes: Sequence[str] | None, images: Path | None = None) -> Annotations:
    """Reads LabelMe's files.

    Args:
        folder: it holds the JSONs, also in folders of its own.
        classes: in the order of their values; None takes all labels in alphabetical order.
        images: the folder of the images; None looks where each JSON says, and takes the image inside it otherwise.

    Raises:
        UserError: if a folder is missing, or holds no annotation.
    """
    for one in (folder, *([] if images is None else [images])):
        require_folder(one)
    paths = sorted(path for path in folder.rglob("*.json") if path.is_file())
    if not paths:
        raise UserError(f"{folder} holds no .json: name the folder of LabelMe's annotations")
    files: dict[Path, _File] = {}
    broken: dict[str, str] = {}
    for path in paths:
        try:
            files[path] = read_json(path, _File, what="the annotation", way_out="save it anew in LabelMe")
        except UserError as error:
            broken[path.relative_to(folder).as_posix()] = str(error)
    labels = {shape.label for one in files.values() for shape in one.shapes}
    names = tuple(sorted(labels - SPECIAL.keys()) if classes is None else classes)
    value_of = SPECIAL | {name: value for value, name in enumerate(names, start=1)}
    notes: Counter[str] = Counter()
    found = []
    for path, content in files.items():
        try:
            image = _image(path, content, images)
        except UnreadableImageError as error:
            broken[path.relative_to(folder).as_posix()] = str(error)
            continue
        suffix = PurePosixPath(posix_name(content.imagePath)).suffix or ".jpg"
        name = path.relative_to(folder).with_suffix(suffix).as_posix()
        found.append(AnnotatedImage(name, image, partial(_paint, image, content, value_of, notes)))
    return Annotations(names, tuple(found), broken, notes)


def _image(path: Path, content: _File, images: Path | None) -> Path | bytes:
    """The image where the annotation says, beside it, or in it."""
    said = Path(posix_name(content.imagePath))
    places = [images / said.name] if images else [path.parent / said, path.parent / said.name]
    if found := next((place for place in places if place.is_file()), None):
        return found
    if not content.imageData:
        raise UnreadableImageError(f"no image at {places[0]}")
    try:
        return base64.b64decode(content.imageData, validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableImageError("the image in it (imageData) is damaged") from None


def _paint(
    image: Path | bytes, content: _File, value_of: Mapping[str, int], notes: Counter[str], height: int, width: int
) -> NDArray[np.uint8]:
    _refuse_turned(image)
    instances = []
    for shape in content.shapes:
        if shape.label not in value_of:
            raise UnreadableImageError(f"the label '{shape.label[:80]}' is not one of the classes")
        if shape.shape_type in _WITHOUT_AREA:
            notes["points and lines have no area and are left out"] += 1
            continue
        instance = Instance.of(value_of[shape.label], _pixels(shape, height, width))
        if instance is None:
            notes["shapes hold no pixel of their image and are left out"] += 1
        else:
            instances.append(instance)
        notes["shapes are cut off at the edge of their image"] += _is_beyond(shape, height, width)
    notes["images have no annotation and are all background"] += not content.shapes
    return paint(instances, height, width)


def _refuse_turned(image: Path | bytes) -> None:
    """LabelMe turns an image by its EXIF orientation before it is annotated; this code reads it as it is stored."""
    with image_files.open_image(image, "image") as opened:
        try:
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) != 1
        except Exception:  # Pillow raises anything for damaged metadata, which LabelMe cannot follow either
            turned = False
    if turned:
        raise UnreadableImageError("the image has an EXIF orientation, by which LabelMe turns it: store it turned")


def _is_beyond(shape: _Shape, height: int, width: int) -> bool:
    return any(not (0 <= x <= width and 0 <= y <= height) for x, y in shape.points)


def _pixels(shape: _Shape, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of a shape as LabelMe's own tools draw it."""
    kind, points = shape.shape_type or "polygon", shape.points
    if kind not in _POINTS:
        raise UnreadableImageError(f"the shape '{kind[:80]}' is none of {', '.join((*_POINTS, *_WITHOUT_AREA))}")
    least, most = _POINTS[kind]
    if not least <= len(points) <= (most or len(points)):
        raise UnreadableImageError(f"a {kind} has {len(points)} points")
    if any(not (-width <= x <= 2 * width and -height <= y <= 2 * height) for x, y in points):
        raise UnreadableImageError(f"a {kind} lies far outside the image: is it of another size?")
    if kind == "mask":
        return _placed_mask(shape, height, width)
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    elif kind == "rectangle":
        (left, right), (top, bottom) = (sorted(pair) for pair in zip(*points, strict=True))
        draw.rectangle((left, top, right, bottom), outline=1, fill=1)
    else:
        draw.polygon(points, outline=1, fill=1)
    return np.asarray(canvas)


def _placed_mask(shape: _Shape, height: int, width: int) -> NDArray[np.bool_]:
    """A shape that is a mask: a PNG, and the corners of its place."""
    (left, top), (right, bottom) = [(int(x), int(y)) for x, y in shape.points]
    try:
        png = base64.b64decode(shape.mask or "", validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableImageError("the PNG of a mask is damaged") from None
    inside = image_files.values(png, "mask").astype(np.bool_)
    if (
        inside.shape != (bottom - top + 1, right - left + 1)
        or left < 0
        or top < 0
        or right >= width
        or bottom >= height
    ):
        raise UnreadableImageError("the PNG of a mask does not fit its place")
    pixels = np.zeros((height, width), dtype=np.bool_)
    pixels[top : bottom + 1, left : right + 1] = inside
    return pixels
