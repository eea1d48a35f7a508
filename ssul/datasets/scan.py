"""Reads every image of a dataset once: sizes, classes, and problems."""

import functools
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssul.data import image_files
from ssul.data.image_files import MAX_BYTES, UnreadableImageError, decoded, open_image
from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.errors import UserError
from ssul.labels.ids import VOID

Item = TypeVar("Item")
Result = TypeVar("Result")
MAX_NAMED = 8
MAX_AHEAD = 64
"""Images in progress at once. Few, because they need memory, and because an interrupt waits for them."""
_SOURCES = (Path(__file__), Path(image_files.__file__))
"""The modules that decide what is found and what is refused. Their digest is a part of every key of the cache, so that
results of other code are not used."""


@dataclass(frozen=True)
class ImageProblem:
    """What is wrong with one image.

    Attributes:
        id: its name in the image list.
        what: the problem; files are named relative to the data root, so that moved data has the same problems.
        lacks_map: whether the only problem is that there is no saliency map.
    """

    id: str
    what: str
    lacks_map: bool = False


class _NoMapError(UnreadableImageError):
    """There is no saliency map."""


def scan_images(
    paths: ImagePaths,
    ids: Sequence[str],
    *,
    classes: int,
    values: MaskEncoding,
    saliency: bool,
    cache: ScanCache,
) -> Iterator[IndexRow | ImageProblem]:
    """Reads every image once, on all cores.

    Args:
        paths: of the files.
        ids: the images.
        classes: number of classes of the dataset.
        values: what the mask values mean.
        saliency: whether every image must have a saliency map.
        cache: results of earlier scans.

    Yields:
        The row of each image, or its problem, in the order of the ids.
    """

    def scan_one(image_id: str) -> IndexRow | ImageProblem:
        try:
            return _row(paths, image_id, classes, values, saliency, cache)
        except UnreadableImageError as problem:
            return ImageProblem(image_id, str(problem), lacks_map=isinstance(problem, _NoMapError))

    return _on_all_cores(scan_one, ids)


def scan_masks(
    masks: Iterable[tuple[str, bytes]], *, classes: int, values: MaskEncoding, cache: ScanCache
) -> Iterator[tuple[str, MaskStatistics] | ImageProblem]:
    """Reads masks alone.

    Args:
        masks: image ids with the content of their mask files.
        classes, values, cache: as in `scan_images`.

    Yields:
        The id and the statistics of each mask, or its problem, in the order of the masks.
    """

    def scan_one(named: tuple[str, bytes]) -> tuple[str, MaskStatistics] | ImageProblem:
        image_id, content = named
        try:
            key = _key(hashlib.sha256(content), classes, values)
            return image_id, cache.get_or_scan(key, lambda: _statistics(_values(content, "mask"), classes, values))
        except UnreadableImageError as problem:
            return ImageProblem(image_id, str(problem))

    return _on_all_cores(scan_one, masks)


def raise_unusable(
    problems: Sequence[ImageProblem], *, of: int, where: Path, way_out: str, listed: Path | None = None
) -> None:
    """Raises an error that names the unusable images.

    Args:
        problems: of the images.
        of: the number of images that were read.
        where: the data root or archive.
        way_out: what can be done, as sentences.
        listed: the file that lists all problems; the message names the first ones.

    Raises:
        UserError: always.
    """
    named = "; ".join(f"{problem.id}: {problem.what}" for problem in problems[:MAX_NAMED])
    more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
    more += f", all listed in {listed}" if listed else ""
    raise UserError(f"{len(problems)} of {of} images of {where} cannot be used: {named}{more}. {way_out}")


def _on_all_cores(scan_one: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    pool = ThreadPoolExecutor()  # decoding and hashing release the interpreter's lock
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(scan_one, item))
            if len(pending) >= MAX_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _row(
    paths: ImagePaths,
    image_id: str,
    classes: int,
    values: MaskEncoding,
    saliency: bool,
    cache: ScanCache,
) -> IndexRow:
    image = _content(paths.image(image_id), "image", paths.root)
    mask = _content(paths.mask(image_id), "mask", paths.root)
    salient = _saliency(paths, image_id) if saliency else b""
    digest = hashlib.sha256(image)
    for content in (mask, salient):
        digest.update(content)

    def scan_files() -> MaskStatistics:
        rgb = _decoded(image, "image")
        labels = _values(mask, "mask")
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
        raise UnreadableImageError(
            f"its mask holds {foreign}, valid are {_runs(meaning.keys() - {values.void})}{or_void}"
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
        raise _NoMapError(f"no saliency map at {path.relative_to(paths.root)}")
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


def _values(content: bytes, what: str) -> NDArray[np.uint8]:
    return np.asarray(_decoded(content, what))


def _decoded(content: bytes, what: str) -> Image.Image:
    return decoded(open_image(content, what), what)
