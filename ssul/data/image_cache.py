"""Decoded pictures that are kept in memory, because training reads them again and again.

How much is kept is the machine's affair and changes nothing in what is loaded, so the environment says it and no
parameter: SSUL_CACHE_MIB, in MiB for each training process, shared evenly by its loader workers; 0 keeps nothing.
"""

import os
from collections import OrderedDict
from collections.abc import Callable

from ssul.data.dataset import LabeledImage
from ssul.errors import UserError

CACHE_VARIABLE = "SSUL_CACHE_MIB"
_DEFAULT_MIB = 512
"""DatasetInfo 550 pictures of VOC's size with their masks and saliency maps."""


def cache_bytes(workers: int) -> int:
    """The limit of each cache of a training process: of its own without loader workers, else of each worker's.

    Raises:
        UserError: if SSUL_CACHE_MIB is no number.
    """
    given = os.environ.get(CACHE_VARIABLE, str(_DEFAULT_MIB))
    try:
        mib = max(0, int(given))
    except ValueError:
        raise UserError(f"{CACHE_VARIABLE}={given} is not a number of MiB: choose 0 (keep nothing) or more") from None
    return mib * 2**20 // max(1, workers)


class ImageCache:
    """Pictures by their image id, up to a limit of bytes.

    When it is full, the picture goes that was not asked for the longest; and none of the pinned ones goes for one
    that is not pinned. So a pass over many new images does not push out the few exemplars of the memory.

    Attributes:
        limit: bytes of pixels at most.
        used: bytes of pixels now.
    """

    def __init__(self, limit: int) -> None:
        """Takes the limit in bytes."""
        self.limit, self.used = limit, 0
        self._pinned: OrderedDict[str, LabeledImage] = OrderedDict()
        self._unpinned: OrderedDict[str, LabeledImage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pinned) + len(self._unpinned)

    def get(self, image_id: str, read: Callable[[str], LabeledImage], *, pinned: bool) -> LabeledImage:
        """The picture, from memory or else from `read`. Nobody may write to its pixels.

        Args:
            image_id: which.
            read: opens a picture; always the same one for the same id.
            pinned: whether it will be asked for more often than others.
        """
        picture = self._taken_out(image_id) or read(image_id)
        size = _size(picture)
        while self.used + size > self.limit:
            if self._unpinned:
                self._drop(self._unpinned)
            elif pinned and self._pinned:
                self._drop(self._pinned)
            else:
                return picture
        (self._pinned if pinned else self._unpinned)[image_id] = picture
        self.used += size
        return picture

    def _taken_out(self, image_id: str) -> LabeledImage | None:
        picture = self._pinned.pop(image_id, None) or self._unpinned.pop(image_id, None)
        if picture is not None:
            self.used -= _size(picture)
        return picture

    def _drop(self, pictures: OrderedDict[str, LabeledImage]) -> None:
        _, oldest = pictures.popitem(last=False)
        self.used -= _size(oldest)


def _size(picture: LabeledImage) -> int:
    return sum(part.nbytes for part in (picture.image, picture.mask, picture.saliency) if part is not None)
