"""Augmented training samples by position."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ssul.data.dataset import SegmentationDataset
from ssul.data.image_cache import PictureCache
from ssul.data.random_crop import draw_window
from ssul.data.sampling import Item, SampleOrder, derive_seed, slots_of
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace


@dataclass(frozen=True)
class Variation:
    """How pictures are varied in training.

    Attributes:
        crop, scale: see `draw_window`.
        pads_background: whether padding is labelled background (a fault of the published code), and not void.
    """

    crop: int
    scale: tuple[float, float]
    pads_background: bool = False


class TrainingSamples(Dataset[tuple[Tensor, Tensor]]):
    """The stream's samples by position: uint8 image (3, S, S) and uint8 target (S, S)."""

    def __init__(
        self,
        order: SampleOrder,
        dataset: SegmentationDataset,
        labels: LabelSpace,
        variation: Variation,
        iterations: int,
        *,
        share: tuple[int, int] = (0, 1),
        cache: PictureCache | None = None,
    ) -> None:
        """Takes the order, where pictures come from, the step's label space, and how pictures are varied.

        `share` and `cache` are as in `training_batches`; no cache keeps nothing.
        """
        self.order, self.dataset, self.labels, self.variation = order, dataset, labels, variation
        self.iterations, self.slots = iterations, slots_of(order.batch, share)
        self.cache = PictureCache(0) if cache is None else cache
        self._remembered = frozenset(item.id for item in order.memory)

    def __len__(self) -> int:
        return self.iterations * len(self.slots)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        iteration, place = divmod(position, len(self.slots))
        slot = self.slots[place]
        item = self.order.item(iteration, slot)
        picture = self.cache.get(item.id, self.dataset.read, lasting=item.id in self._remembered)
        window = draw_window(
            *picture.mask.shape,
            crop=self.variation.crop,
            scale=self.variation.scale,
            generator=torch.Generator().manual_seed(
                derive_seed(self.order.seed, self.order.step, "augmentation", iteration, slot)
            ),
        )
        maps = [picture.mask] if item.unshifted or picture.saliency is None else [picture.mask, picture.saliency]
        target = window.target(partial(self._encode, item), *maps, fill=self._padding(item))
        return window.image(picture.image), target

    def _encode(self, item: Item, mask: Tensor, saliency: Tensor | None = None) -> Tensor:
        if item.unshifted:
            return self.labels.encode_unshifted(mask, item.annotated)
        return self.labels.encode(mask, saliency, item.annotated)

    def _padding(self, item: Item) -> int:
        if not self.variation.pads_background:
            return VOID
        return 0 if item.unshifted else self.labels.padding(saliency=self.dataset.saliency)
