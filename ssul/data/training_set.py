"""Augmented training samples by position."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ssul.data.dataset import SegmentationDataset
from ssul.data.image_cache import ImageCache
from ssul.data.random_crop import CropWindow, sample_crop_window
from ssul.data.resized_crop import ResizedCrop, sample_resized_crop
from ssul.data.sampling import SampleOrder, TrainingItem, derive_seed, rank_slots
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace


@dataclass(frozen=True)
class Augmentation:
    """How images are augmented in training.

    Attributes:
        crop: side of the square in pixels.
        scale: the range of the resizing factor, or of the share of the area, see `kind`.
        kind: scale_pad (`sample_crop_window`) or resized_crop (`sample_resized_crop`).
        published_padding: pad as SSUL's published code, see `sample_crop_window`, and label the padding background
            instead of void.
    """

    crop: int
    scale: tuple[float, float]
    kind: str = "scale_pad"
    published_padding: bool = False

    def sample(self, height: int, width: int, *, generator: torch.Generator) -> CropWindow | ResizedCrop:
        """Draws the crop of an image."""
        if self.kind == "resized_crop":
            return sample_resized_crop(height, width, crop=self.crop, area=self.scale, generator=generator)
        return sample_crop_window(
            height,
            width,
            crop=self.crop,
            scale=self.scale,
            generator=generator,
            published_padding=self.published_padding,
        )


class TrainingDataset(Dataset[tuple[Tensor, Tensor]]):
    """The training samples by position: uint8 image (3, S, S) and uint8 target (S, S) with S = crop."""

    def __init__(
        self,
        order: SampleOrder,
        dataset: SegmentationDataset,
        labels: LabelSpace,
        augmentation: Augmentation,
        iterations: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        cache: ImageCache | None = None,
    ) -> None:
        """Initialises the dataset.

        Args:
            order: which image is at which place.
            dataset: reads the images.
            labels: the label space after this step.
            augmentation: the random crop and its padding.
            iterations: number of batches of the whole step.
            rank, world_size: which slots of each batch these are, see `rank_slots`.
            cache: of decoded images; None caches nothing.
        """
        self.order, self.dataset, self.labels, self.augmentation = order, dataset, labels, augmentation
        self.iterations, self.slots = iterations, rank_slots(order.batch, rank, world_size)
        self.cache = ImageCache(0) if cache is None else cache
        self._exemplar_ids = frozenset(item.id for item in order.memory)

    def __len__(self) -> int:
        return self.iterations * len(self.slots)

    def position(self, iteration: int, slot: int) -> int:
        """The position of the sample in one of these slots of an iteration's batch."""
        return iteration * len(self.slots) + self.slots.index(slot)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        iteration, place = divmod(position, len(self.slots))
        slot = self.slots[place]
        item = self.order.item(iteration, slot)
        labeled = self.cache.get(item.id, self.dataset.read, pinned=item.id in self._exemplar_ids)
        seed = derive_seed(self.order.seed, self.order.step, "augmentation", iteration, slot)
        window = self.augmentation.sample(*labeled.mask.shape, generator=torch.Generator().manual_seed(seed))
        maps = (
            [labeled.mask]
            if item.without_unknown_shift or labeled.saliency is None
            else [labeled.mask, labeled.saliency]
        )
        target = window.target(partial(self._encode, item), *maps, fill=self._padding(item))
        return window.image(labeled.image), target

    def _encode(self, item: TrainingItem, mask: Tensor, saliency: Tensor | None = None) -> Tensor:
        if item.without_unknown_shift:
            return self.labels.encode_without_unknown_shift(mask, item.annotated)
        return self.labels.encode(mask, saliency, item.annotated)

    def _padding(self, item: TrainingItem) -> int:
        if not self.augmentation.published_padding:
            return VOID
        return self.labels.padding(saliency=self.dataset.saliency, without_unknown_shift=item.without_unknown_shift)
