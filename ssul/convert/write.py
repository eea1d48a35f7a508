"""Writes annotations as a dataset of one's own: palette PNGs of values, and the images."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssul.convert.annotations import AnnotatedImage, Annotations
from ssul.data import image_files
from ssul.data.image_files import UnreadableImageError
from ssul.data.layout import invalid_id_reason
from ssul.datasets.scan import MAX_NAMED, ImageProblem, raise_unusable
from ssul.errors import UserError
from ssul.io.atomic import replace_dir, write_text
from ssul.labels.colours import Colour, id_colours
from ssul.labels.ids import VOID

IMAGES, MASKS = "images", "masks"
Show = Callable[..., Iterable[Any]]
"""Yields items while it shows a progress bar: (items, total=, title=, unit=)."""


@dataclass
class Converted:
    """What was written.

    Attributes:
        templates: split -> the places of its images and masks below the folder; the split is `train` or `val`.
        images: value -> number of images that show it.
        pixels: value -> number of pixels.
        count: split -> number of images.
        left_out: what was left out, as `ImageProblem`s.
        notes: see `Annotations`.
    """

    templates: dict[str, tuple[str, str]] = field(default_factory=dict)
    images: Counter[int] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    count: Counter[str] = field(default_factory=Counter)
    left_out: list[ImageProblem] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)


def write_dataset(
    splits: Mapping[str, Annotations], source: Path, out: Path, *, palette: tuple[Colour, ...], skip: bool, show: Show
) -> Converted:
    """Paints every mask and brings the images beside them, whole or not at all.

    Images are hard-linked, which takes no room, or copied where the disk has no links. Ids are the images' names
    without their suffix; where a split has images of several suffixes, the suffix is a part of the id.

    Args:
        splits: `train`, and perhaps `val`; with both, each has a folder of its own.
        source: the annotations, for messages.
        out: the folder to write; it must not exist.
        palette: RGB of the background and of each class.
        skip: whether images that cannot be used are left out; otherwise they are refused.
        show: shows a progress bar.

    Raises:
        UserError: if the folder exists, or naming the images that cannot be used.
    """
    if out.exists():
        raise UserError(f"{out} exists: choose another --out, or remove it")
    done = Converted()
    with replace_dir(out) as folder:
        for split, annotations in splits.items():
            _write_split(
                split, annotations, folder, "" if len(splits) == 1 else f"{split}/", id_colours(palette), done, show
            )
            done.notes.update(annotations.notes)
        _refuse_unusable(done, splits, source, out, skip=skip)
    return done


def _write_split(
    split: str, annotations: Annotations, folder: Path, below: str, palette: list[int], done: Converted, show: Show
) -> None:
    suffixes = {PurePosixPath(one.name).suffix for one in annotations.images}
    suffix = suffixes.pop() if len(suffixes) == 1 else ""
    done.templates[split] = (f"{below}{IMAGES}/{{id}}{suffix}", f"{below}{MASKS}/{{id}}.png")
    done.left_out += [ImageProblem(name, what) for name, what in annotations.broken.items()]
    title = f"convert {split}"
    for one in show(annotations.images, total=len(annotations.images), title=title, unit="image"):
        image_id = one.name.removesuffix(suffix)
        image, mask = (folder / template.replace("{id}", image_id) for template in done.templates[split])
        try:
            values = _values(one, image_id)
        except UnreadableImageError as error:
            done.left_out.append(ImageProblem(one.name, str(error)))
            continue
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        mask_image = Image.fromarray(values)
        mask_image.putpalette(palette)
        mask_image.save(mask)
        _bring(one.image, image)
        counts = np.bincount(values.ravel(), minlength=VOID + 1)
        shown = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
        done.pixels.update(shown)
        done.images.update(shown.keys())
        done.count[split] += 1


def _values(one: AnnotatedImage, image_id: str) -> NDArray[np.uint8]:
    if reason := invalid_id_reason(image_id):
        raise UnreadableImageError(f"its name {reason}")
    if isinstance(one.image, Path) and not one.image.is_file():
        raise UnreadableImageError(f"no image at {one.image}")
    with image_files.open_image(one.image, "image") as image:
        width, height = image.size
    return one.paint(height, width)


def _bring(image: Path | bytes, place: Path) -> None:
    if isinstance(image, bytes):
        place.write_bytes(image)
        return
    try:
        os.link(image.resolve(), place)
    except OSError:  # another disk, or one without links
        shutil.copyfile(image, place)


def _refuse_unusable(
    done: Converted, splits: Mapping[str, Annotations], source: Path, out: Path, *, skip: bool
) -> None:
    empty = [split for split in splits if not done.count[split]]
    if not done.left_out or (skip and not empty):
        return
    images = done.count.total() + len(done.left_out)
    listed = None
    if len(done.left_out) > MAX_NAMED:
        listed = out.with_name(f"{out.name}_unusable.txt")
        write_text(listed, "".join(f"{one.id}: {one.what}\n" for one in done.left_out))
    way_out = "Mend them" if skip else "Mend them, or leave them out with --on-error skip"
    raise_unusable(done.left_out, of=images, where=source, way_out=f"{way_out}; nothing is written", listed=listed)
