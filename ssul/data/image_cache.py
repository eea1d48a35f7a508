"""A cache of decoded images, because training reads them repeatedly.

The cache size does not affect results, so it is an environment variable, not a parameter: SSUL_CACHE_MIB, in MiB for
each training process, shared evenly by its loader workers; 0 keeps nothing.
"""

from collections import OrderedDict
from collections.abc import Callable

from ssul import environment
from ssul.data.dataset import LabeledImage


def cache_bytes(workers: int) -> int:
    """The limit in bytes of one cache: each loader worker has one, or the training process if there are no workers.

    Raises:
        UserError: if SSUL_CACHE_MIB is not a number.
    """
    return environment.cache_bytes() // max(1, workers)


class ImageCache:
    """Images by their id, up to a limit of bytes.

    LRU eviction; pinned images (exemplars) are never evicted in favour of unpinned ones, so that a pass over many new
    images does not evict the few exemplars.

    Attributes:
        limit: bytes of pixels at most.
        used: bytes of pixels now.
    """

    def __init__(self, limit: int) -> None:
        """Initialises an empty cache with its limit in bytes."""
        self.limit, self.used = limit, 0
        self._pinned: OrderedDict[str, LabeledImage] = OrderedDict()
        self._unpinned: OrderedDict[str, LabeledImage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pinned) + len(self._unpinned)

    def get(self, image_id: str, read: Callable[[str], LabeledImage], *, pinned: bool) -> LabeledImage:
        """The image, from the cache, or else from `read`. Its pixels must not be changed.

        Args:
            image_id: the image's id.
            read: reads an image; always returns the same one for the same id.
            pinned: whether it is used more often than others.
        """
        labeled = self._pop(image_id) or read(image_id)
        size = _size(labeled)
        while self.used + size > self.limit:
            if self._unpinned:
                self._evict(self._unpinned)
            elif pinned and self._pinned:
                self._evict(self._pinned)
            else:
                return labeled
        (self._pinned if pinned else self._unpinned)[image_id] = labeled
        self.used += size
        return labeled

    def _pop(self, image_id: str) -> LabeledImage | None:
        labeled = self._pinned.pop(image_id, None) or self._unpinned.pop(image_id, None)
        if labeled is not None:
            self.used -= _size(labeled)
        return labeled

    def _evict(self, images: OrderedDict[str, LabeledImage]) -> None:
        _, oldest = images.popitem(last=False)
        self.used -= _size(oldest)


def _size(labeled: LabeledImage) -> int:
    return sum(part.nbytes for part in (labeled.image, labeled.mask, labeled.saliency) if part is not None)
