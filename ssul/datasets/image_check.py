"""What one image shows, and everything that can be wrong with its files."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssul.data import colour_masks, image_files
from ssul.data.colour_masks import read_colour_mask
from ssul.data.image_files import MAX_BYTES, UnreadableImageError, decoded, open_image
from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.labels.ids import VOID

_SOURCES = (Path(__file__), Path(image_files.__file__), Path(colour_masks.__file__))
"""The modules that decide what is found and what is refused. Their digest is a part of every key of the cache, so that
results of other code are not used."""


class NoMapError(UnreadableImageError):
    """There is no saliency map."""


class ForeignValuesError(UnreadableImageError):
    """A mask holds values that mean nothing.

    Attributes:
        values: these.
    """

    def __init__(self, message: str, values: tuple[int, ...]) -> None:
        """Takes the message and the values."""
        super().__init__(message)
        self.values = values


def check_image(
    paths: ImagePaths, image_id: str, *, classes: int, values: MaskEncoding, saliency: bool, cache: ScanCache
) -> IndexRow:
    """The row of an image in the index; arguments as of `ssul.datasets.scan.scan_images`.

    Raises:
        NoMapError: if only the saliency map is missing.
        UnreadableImageError: if a file is missing or unreadable, or files do not match.
    """
    image = _content(paths.image(image_id), "image", paths.root)
    mask = _content(paths.mask(image_id), "mask", paths.root)
    salient = _saliency(paths, image_id) if saliency else b""
    digest = hashlib.sha256(image)
    for content in (mask, salient):
        digest.update(content)

    def scan_files() -> MaskStatistics:
        rgb = _decoded(image, "image")
        labels = _mask_values(mask, values)
        if labels.shape != (rgb.height, rgb.width):
            height, width = labels.shape
            raise UnreadableImageError(
                f"the image is {rgb.width}x{rgb.height}, its mask {width}x{height} pixels as they are "
                "stored (EXIF orientation is ignored)"
            )
        if saliency and _values(salient, "saliency map").shape != labels.shape:
            raise UnreadableImageError("its saliency map has another size than its mask")
        return _statistics(labels, classes, values)

    statistics = cache.get_or_scan(
        _key(digest, classes, values, saliency, len(image), len(mask), len(salient)), scan_files
    )
    return IndexRow(
        id=image_id,
        height=statistics.height,
        width=statistics.width,
        pixels=statistics.pixels,
        void=statistics.void,
        bytes=len(image) + len(mask) + len(salient),
        digest=digest.hexdigest(),
    )


def check_mask(content: bytes, *, classes: int, values: MaskEncoding, cache: ScanCache) -> MaskStatistics:
    """What a mask shows; arguments as of `ssul.datasets.scan.scan_masks`.

    Raises:
        UnreadableImageError: if the mask is unreadable.
    """
    key = _key(hashlib.sha256(content), classes, values)
    return cache.get_or_scan(key, lambda: _statistics(_mask_values(content, values), classes, values))


def _key(digest: "hashlib._Hash", *parameters: object) -> str:
    key = (_code_digest(_SOURCES), digest.hexdigest(), *parameters)
    return hashlib.sha256(repr(key).encode()).hexdigest()[:32]


@functools.cache
def _code_digest(sources: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _statistics(labels: NDArray[np.uint8], classes: int, values: MaskEncoding) -> MaskStatistics:
    meaning = values.ids(classes)
    counts = np.bincount(labels.ravel(), minlength=256)
    found = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    foreign = [value for value in found if value not in meaning]
    if foreign:
        or_void = "" if values.void is None else f" and {values.void} (void)"
        raise ForeignValuesError(
            f"its mask holds {foreign}, valid are {_runs(meaning.keys() - {values.void})}{or_void}", tuple(foreign)
        )
    pixels = {meaning[value]: count for value, count in found.items()}
    void = pixels.pop(VOID, 0)
    return MaskStatistics(labels.shape[0], labels.shape[1], dict(sorted(pixels.items())), void)


def _runs(values: Iterable[int | None]) -> str:
    """Values with runs abbreviated: `0, 7..9`."""
    runs: list[list[int]] = []
    for value in sorted(value for value in values if value is not None):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _saliency(paths: ImagePaths, image_id: str) -> bytes:
    path = paths.saliency(image_id)
    if not path.exists():
        raise NoMapError(f"no saliency map at {path.relative_to(paths.root)}")
    return _content(path, "saliency map", paths.root)


def _content(path: Path, what: str, root: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise UnreadableImageError(f"unreadable {what} (not a regular file)")  # reading a pipe would block
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableImageError(f"its {what} is a file of more than {MAX_BYTES} bytes, which is not read")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableImageError(f"no {what} at {path.relative_to(root)}") from None
    except OSError as error:  # its message holds the whole path
        raise UnreadableImageError(f"unreadable {what} ({error.strerror or type(error).__name__})") from None


def _mask_values(content: bytes, values: MaskEncoding) -> NDArray[np.uint8]:
    return _values(content, "mask") if values.colours is None else read_colour_mask(content, dict(values.colours))


def _values(content: bytes, what: str) -> NDArray[np.uint8]:
    return np.asarray(_decoded(content, what))


def _decoded(content: bytes, what: str) -> Image.Image:
    return decoded(open_image(content, what), what)
