"""The index of a data set: what every mask shows, so that nothing later opens a mask to ask.

Splits depend on it alone. Its content hashes stand for the pictures in DVC's eyes: stages depend on the index, not on
the raw files, which stay where they are.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ssul.atomic import write_text
from ssul.data.layout import VocFolders
from ssul.errors import UserError
from ssul.labels import VOID

_NAMED_AT_MOST = 8


@dataclass(frozen=True)
class IndexRow:
    """What is known of one image.

    Attributes:
        id: its name in the image list.
        height, width: pixels.
        pixels: mask value -> number of pixels, background (0) included, void left out.
        void: number of void pixels.
        bytes: the sizes of image, mask and, where it is used, saliency map, added up.
        digest: SHA-256 over their content.
    """

    id: str
    height: int
    width: int
    pixels: dict[int, int]
    void: int
    bytes: int
    digest: str

    @property
    def present(self) -> tuple[int, ...]:
        """The classes that the mask shows, background left out, ascending."""
        return tuple(sorted(class_id for class_id in self.pixels if class_id != 0))


@dataclass(frozen=True)
class ImageIndex:
    """The rows of one split of a data set, in the order of its image list."""

    data_set: str
    class_names: tuple[str, ...]
    rows: tuple[IndexRow, ...]

    @property
    def present(self) -> dict[str, tuple[int, ...]]:
        """Image id -> classes that it shows."""
        return {row.id: row.present for row in self.rows}

    def write(self, path: Path) -> None:
        """Writes the index as JSON, one image a line, byte-identical for the same content."""
        rows = ",\n".join(
            json.dumps([row.id, row.height, row.width, row.pixels, row.void, row.bytes, row.digest])
            for row in self.rows
        )
        head = json.dumps({"data_set": self.data_set, "class_names": self.class_names})
        write_text(path, f'{head[:-1]},\n"rows": [\n{rows}\n]}}\n')

    @classmethod
    def read(cls, path: Path) -> "ImageIndex":
        """Reads what `write` wrote.

        Raises:
            UserError: if the file is missing.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"the index {path} is missing: run `dvc repro prepare`") from None
        rows = tuple(
            IndexRow(image_id, height, width, {int(value): count for value, count in pixels.items()}, *rest)
            for image_id, height, width, pixels, *rest in content["rows"]
        )
        return cls(content["data_set"], tuple(content["class_names"]), rows)


def require_unchanged(rows: Iterable[IndexRow], folders: VocFolders, *, saliency: bool) -> None:
    """Refuses early, before a training, if files are gone or of another size than when they were indexed.

    Args:
        rows: of the images that will be read.
        folders: where the files lie now.
        saliency: whether they were indexed with their saliency maps.

    Raises:
        UserError: naming the first such file.
    """
    for row in rows:
        paths = folders.files(row.id, saliency=saliency)
        for path in paths:
            if not path.is_file():
                raise UserError(
                    f"{path} is in the index but not on disk: bring it back, point data.root at the data, or index "
                    "anew with `dvc repro --force prepare`"
                )
        if sum(path.stat().st_size for path in paths) != row.bytes:
            raise UserError(
                f"{paths[0]}, its mask or its saliency map has changed since it was indexed: "
                "index anew with `dvc repro --force prepare`"
            )


class _UnusableImageError(Exception):
    """What is wrong with one image."""


def index_images(folders: VocFolders, ids: Sequence[str], *, classes: int, saliency: bool) -> Iterator[IndexRow]:
    """Looks at every mask once and yields its row, in order.

    Args:
        folders: where the files lie.
        ids: the images to index.
        classes: number of classes; masks may hold 0..classes and void.
        saliency: whether every image must have a saliency map.

    Raises:
        UserError: after the last image, naming every image that is missing, unreadable, of another size than its mask,
            or whose mask shows an unknown value.
    """
    faults = []

    def examine(image_id: str) -> IndexRow | _UnusableImageError:
        try:
            return _examine(folders, image_id, classes, saliency)
        except _UnusableImageError as fault:
            return fault

    with ThreadPoolExecutor() as pool:
        for result in pool.map(examine, ids):
            if isinstance(result, _UnusableImageError):
                faults.append(str(result))
            else:
                yield result
    if faults:
        named = "; ".join(faults[:_NAMED_AT_MOST])
        more = f"; and {len(faults) - _NAMED_AT_MOST} more" if len(faults) > _NAMED_AT_MOST else ""
        raise UserError(
            f"{len(faults)} of {len(ids)} images of {folders.root} cannot be used: {named}{more}. "
            "Mend the files, or take the ids out of the image list"
        )


def _examine(folders: VocFolders, image_id: str, classes: int, saliency: bool) -> IndexRow:
    digest = hashlib.sha256()
    width, height = _picture_size(folders.image(image_id), "image", digest)
    mask = _read_values(folders.mask(image_id), "mask", digest)
    if mask.shape != (height, width):
        raise _UnusableImageError(
            f"{image_id}: the image is {width}x{height}, its mask {mask.shape[1]}x{mask.shape[0]} pixels"
        )
    counts = np.bincount(mask.ravel(), minlength=256)
    pixels = {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value != VOID}
    foreign = [value for value in pixels if value > classes]
    if foreign:
        raise _UnusableImageError(f"{image_id}: its mask holds {foreign}, valid are 0..{classes} and {VOID} (void)")
    if saliency:
        salient = _read_values(folders.saliency(image_id), "saliency map", digest)
        if salient.shape != mask.shape:
            raise _UnusableImageError(f"{image_id}: its saliency map has another size than its mask")
    weight = sum(path.stat().st_size for path in folders.files(image_id, saliency=saliency))
    return IndexRow(image_id, height, width, pixels, int(counts[VOID]), weight, digest.hexdigest())


def _picture_size(path: Path, what: str, digest: "hashlib._Hash") -> tuple[int, int]:
    with _opened(path, what, digest) as picture:
        _decode(picture, path, what)
        return picture.size


def _read_values(path: Path, what: str, digest: "hashlib._Hash") -> np.ndarray:
    with _opened(path, what, digest) as picture:
        if picture.mode not in ("P", "L"):
            raise _UnusableImageError(
                f"{path.name}: a {what} must be an 8-bit palette or grey picture, this one is {picture.mode}"
            )
        _decode(picture, path, what)
        return np.asarray(picture)


def _decode(picture: Image.Image, path: Path, what: str) -> None:
    try:
        picture.load()  # a file that is cut off has a whole header
    except OSError as error:
        raise _UnusableImageError(f"{path.name}: unreadable {what} ({error})") from None


def _opened(path: Path, what: str, digest: "hashlib._Hash") -> Image.Image:
    try:
        digest.update(path.read_bytes())
        return Image.open(path)
    except FileNotFoundError:
        raise _UnusableImageError(f"{path.stem}: no {what} at {path}") from None
    except (UnidentifiedImageError, OSError) as error:
        raise _UnusableImageError(f"{path.name}: unreadable {what} ({error})") from None
