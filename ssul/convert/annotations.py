"""What all converters read: images, and how the mask of each is made."""

import importlib.util
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ssul.errors import UserError

PHOTOGRAPHS = (".jpg", ".jpeg", ".png")
Paint = Callable[[int, int], NDArray[np.uint8]]
"""Returns the mask of an image of (height, width) pixels: dataset ids, uint8 (H, W). Raises UnreadableImageError."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with its annotation.

    Attributes:
        name: its path in the dataset, with its suffix: `town/a.jpg`.
        image: the file, or its content.
        paint: makes its mask.
    """

    name: str
    image: Path | bytes
    paint: Paint


@dataclass(frozen=True)
class Annotations:
    """What was read.

    Attributes:
        classes: names; the place, from 1, is the value in the masks.
        images: in a stable order.
        broken: annotation -> what is wrong with it, of those that belong to no image.
        notes: what happened to annotations that could not be taken as they are, with their number; painting adds to it.
    """

    classes: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    broken: Mapping[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


def images_of_masks(masks: Path, ending: str, images: Path) -> tuple[dict[Path, tuple[str, Path]], dict[str, str]]:
    """The image of each mask: it has the mask's path below its folder, with the suffix of a photograph.

    Args:
        masks: the folder of the masks.
        ending: of their names, `_L.png`.
        images: the folder of the images; may be the same.

    Returns:
        Mask -> name and path of its image; and mask -> problem of the others.

    Raises:
        UserError: if a folder is missing, or there is no mask.
    """
    for folder in (masks, images):
        require_folder(folder)
    found = sorted(path for path in masks.rglob(f"*{ending}") if path.is_file() and not path.name.startswith("."))
    if not found:
        raise UserError(f"{masks} holds no files that end with {ending}: name another folder, or their --ending")
    ours = set(found)
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in PHOTOGRAPHS and path not in ours:
            by_stem.setdefault(path.relative_to(images).with_suffix("").as_posix(), []).append(path)
    pairs, broken = {}, {}
    for mask in found:
        stem = mask.relative_to(masks).as_posix().removesuffix(ending)
        candidates = by_stem.get(stem, [])
        if len(candidates) == 1:
            pairs[mask] = (candidates[0].relative_to(images).as_posix(), candidates[0])
        else:
            names = ", ".join(one.name for one in candidates)
            broken[stem] = f"no image {stem}.jpg or .png in {images}" if not names else f"several images: {names}"
    return pairs, broken


def require_folder(folder: Path) -> None:
    """Refuses what is not a folder."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")


def require_library(name: str) -> None:
    """Refuses to go on without an optional library.

    Raises:
        UserError: naming what installs it.
    """
    if importlib.util.find_spec(name) is None:
        raise UserError(f'{name} is not installed: pip install "ssul[convert]"')


def posix_name(name: str) -> str:
    """A relative path as it is written on any system, joined by `/`, without `./` at its start."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()
