"""Reads every image of a dataset once: sizes, classes, and problems."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ssul.data.image_files import UnreadableImageError
from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets.image_check import ForeignValuesError, NoMapError, check_image, check_mask
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
MAX_NAMED = 8
MAX_AHEAD = 64
"""Images in progress at once. Few, because they need memory, and because an interrupt waits for them."""


@dataclass(frozen=True)
class ImageProblem:
    """What is wrong with one image.

    Attributes:
        id: its name in the image list.
        what: the problem; files are named relative to the data root, so that moved data has the same problems.
        lacks_map: whether the only problem is that there is no saliency map.
        foreign: the values of its mask that mean nothing, if they are the problem.
    """

    id: str
    what: str
    lacks_map: bool = False
    foreign: tuple[int, ...] = ()


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
            return check_image(paths, image_id, classes=classes, values=values, saliency=saliency, cache=cache)
        except UnreadableImageError as problem:
            foreign = problem.values if isinstance(problem, ForeignValuesError) else ()
            return ImageProblem(image_id, str(problem), isinstance(problem, NoMapError), foreign)

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
            return image_id, check_mask(content, classes=classes, values=values, cache=cache)
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
