"""Reads every image of a dataset once: sizes, classes, and everything that is wrong."""

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

from ssul.data.image_files import MAX_BYTES, UnreadableImageError, decoded, is_ambiguous, is_turned, open_image
from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.errors import UserError
from ssul.labels.ids import VOID

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MAX_NAMED = 8
MAX_AHEAD = 64
"""How many images are under way at once: few enough for the memory, and for an interrupt to wait for them."""
_FINDINGS = 2
"""Raise this whenever other things than before are found out, or refused, about the same content (`_shown` and what
`_row` asks of images): it is part of every key of a memo, so that what older code found out is not believed."""


@dataclass(frozen=True)
class ImageProblem:
    """What is wrong with one image.

    Attributes:
        id: its name in the image list.
        what: in words; files are named relative to the data root, so that moved data has the same faults.
        lacks_map: whether all that is wrong is that there is no saliency map.
    """

    id: str
    what: str
    lacks_map: bool = False


class _NoMapError(UnreadableImageError):
    """There is no saliency map."""


def scan_images(
    folders: ImagePaths,
    ids: Sequence[str],
    *,
    classes: int,
    values: MaskEncoding,
    saliency: bool,
    memo: ScanCache,
    upright: bool = False,
) -> Iterator[IndexRow | ImageProblem]:
    """Looks at every image once, on all cores, and yields its row, or what is wrong with it, in order.

    Args:
        folders: where the files lie.
        ids: the images.
        classes: number of classes of the dataset.
        values: what the mask values mean.
        saliency: whether every image must have a saliency map.
        memo: what earlier passes found out.
        upright: whether a photograph that viewers show turned is a fault where its size does not tell how its mask
            lies (see `ssul.data.image_files`); published masks belong to the pixels as they are stored.
    """

    def examine(image_id: str) -> IndexRow | ImageProblem:
        try:
            return _row(folders, image_id, classes, values, saliency, memo, upright)
        except UnreadableImageError as fault:
            return ImageProblem(image_id, str(fault), lacks_map=isinstance(fault, _NoMapError))

    return _on_all_cores(examine, ids)


def scan_masks(
    masks: Iterable[tuple[str, bytes]], *, classes: int, values: MaskEncoding, memo: ScanCache
) -> Iterator[tuple[str, MaskStatistics] | ImageProblem]:
    """Looks at masks alone.

    Args:
        masks: image ids with the content of their mask files.
        classes, values, memo: as in `scan_images`.
    """

    def examine(named: tuple[str, bytes]) -> tuple[str, MaskStatistics] | ImageProblem:
        image_id, content = named
        try:
            key = _key(hashlib.sha256(content), classes, values)
            return image_id, memo.ask(key, lambda: _shown(_values(content, "mask"), classes, values))
        except UnreadableImageError as fault:
            return ImageProblem(image_id, str(fault))

    return _on_all_cores(examine, masks)


def refuse(faults: Sequence[ImageProblem], *, of: int, where: Path, way_out: str, listed: Path | None = None) -> None:
    """Ends with an error that names the faulty images.

    Args:
        faults: what is wrong.
        of: how many images were looked at.
        where: they lie.
        way_out: what can be done, as sentences.
        listed: where all faults are written down; the message names the first ones.

    Raises:
        UserError: always.
    """
    named = "; ".join(f"{fault.id}: {fault.what}" for fault in faults[:MAX_NAMED])
    more = f"; and {len(faults) - MAX_NAMED} more" if len(faults) > MAX_NAMED else ""
    more += f", all listed in {listed}" if listed else ""
    raise UserError(f"{len(faults)} of {of} images of {where} cannot be used: {named}{more}. {way_out}")


def _on_all_cores(examine: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    pool = ThreadPoolExecutor()  # decoding and hashing release the interpreter's lock
    under_way: deque[Future[Answer]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(examine, item))
            if len(under_way) >= MAX_AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _row(
    folders: ImagePaths,
    image_id: str,
    classes: int,
    values: MaskEncoding,
    saliency: bool,
    memo: ScanCache,
    upright: bool,
) -> IndexRow:
    image = _content(folders.image(image_id), "image", folders.root)
    mask = _content(folders.mask(image_id), "mask", folders.root)
    salient = _map(folders, image_id) if saliency else b""
    digest = hashlib.sha256(image)
    digest.update(mask)
    digest.update(salient)

    def find_out() -> MaskStatistics:
        photograph = _decoded(image, "image")
        labels = _values(mask, "mask")
        if labels.shape != (photograph.height, photograph.width):
            height, width = labels.shape
            told = f"the image is {photograph.width}x{photograph.height}, its mask {width}x{height} pixels"
            turned = " as they are stored (an EXIF tag turns the image for viewers; store it turned)"
            raise UnreadableImageError(told + (turned if is_turned(photograph) else ""))
        if upright and is_ambiguous(photograph):
            raise UnreadableImageError(
                "an EXIF tag turns or mirrors the image for viewers, and nobody can tell whether its mask is turned "
                "too: store the image as it is to be seen, without the tag"
            )
        if saliency and _values(salient, "saliency map").shape != labels.shape:
            raise UnreadableImageError("its saliency map has another size than its mask")
        return _shown(labels, classes, values)

    shown = memo.ask(_key(digest, classes, values, saliency, len(image), len(mask), len(salient), upright), find_out)
    weight = len(image) + len(mask) + len(salient)
    return IndexRow(image_id, shown.height, shown.width, shown.pixels, shown.void, weight, digest.hexdigest())


def _key(digest: "hashlib._Hash", *circumstances: object) -> str:
    return hashlib.sha256(repr((_FINDINGS, digest.hexdigest(), *circumstances)).encode()).hexdigest()[:32]


def _shown(labels: NDArray[np.uint8], classes: int, values: MaskEncoding) -> MaskStatistics:
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
    """Values as people write them: `0, 7..9`."""
    runs: list[list[int]] = []
    for value in sorted(value for value in values if value is not None):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _map(folders: ImagePaths, image_id: str) -> bytes:
    path = folders.saliency(image_id)
    if not path.exists():
        raise _NoMapError(f"no saliency map at {path.relative_to(folders.root)}")
    return _content(path, "saliency map", folders.root)


def _content(path: Path, what: str, root: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise UnreadableImageError(f"unreadable {what} (no regular file)")  # a pipe would be waited for without end
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
