"""The order of training samples, a pure function of (seed, step, iteration, slot).

Nothing depends on the number of workers or processes, or on what was drawn before: any place of the stream can be
entered directly, and two methods with the same seed see the same pictures in the same order.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from ssul.data.dataset import SegmentationDataset
from ssul.data.transforms import training_transform
from ssul.files import VOID
from ssul.labels import LabelSpace


@dataclass(frozen=True)
class Item:
    """A training image and how it is annotated.

    Attributes:
        id: its name in the image list.
        annotated: the data set ids that are annotated in it.
        unshifted: whether its target is encoded as the published code's memory, see `LabelSpace.encode_unshifted`.
    """

    id: str
    annotated: tuple[int, ...]
    unshifted: bool = False


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that depends on all parts and nothing else, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass(frozen=True)
class SampleOrder:
    """Which item is at which place: endless shuffled passes over the new images and, beside them, over the memory.

    With a memory the second half of each batch comes from it, and only so many new images are drawn as are used (the
    published code draws a full new batch and overwrites half of it). A step with fewer images than a batch repeats
    them rather than training not at all.
    """

    new: tuple[Item, ...]
    memory: tuple[Item, ...]
    batch: int
    seed: int
    step: int

    def item(self, iteration: int, slot: int) -> Item:
        """The item in a slot (0..batch-1) of the batch of an iteration (from 0)."""
        if not self.memory:
            return self._draw("new", self.new, iteration * self.batch + slot)
        fresh = self.batch - self.batch // 2
        if slot < fresh:
            return self._draw("new", self.new, iteration * fresh + slot)
        return self._draw("memory", self.memory, iteration * (self.batch - fresh) + slot - fresh)

    def _draw(self, source: str, items: Sequence[Item], position: int) -> Item:
        round_, place = divmod(position, len(items))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.step, source, round_))
        return items[int(torch.randperm(len(items), generator=generator)[place])]


@dataclass(frozen=True)
class Variation:
    """How pictures are varied in training.

    Attributes:
        crop, scale: see `training_transform`.
        pads_background: whether padding is labelled background (a fault of the published code), and not void.
    """

    crop: int
    scale: tuple[float, float]
    pads_background: bool = False

    def transform(self, fill: int) -> v2.Compose:
        """The transform whose padding has the label `fill`."""
        return _transform(self.crop, self.scale, fill)


@functools.cache
def _transform(crop: int, scale: tuple[float, float], fill: int) -> v2.Compose:
    return training_transform(crop=crop, scale=scale, fill=fill)


class TrainingSamples(Dataset[tuple[Tensor, Tensor]]):
    """The stream's samples by position: uint8 image (3, S, S) and uint8 target (S, S)."""

    def __init__(
        self,
        order: SampleOrder,
        dataset: SegmentationDataset,
        labels: LabelSpace,
        variation: Variation,
        iterations: int,
    ) -> None:
        """Takes the order, where pictures come from, the step's label space, and how pictures are varied."""
        self.order, self.dataset, self.labels, self.variation = order, dataset, labels, variation
        self.iterations = iterations

    def __len__(self) -> int:
        return self.iterations * self.order.batch

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        iteration, slot = divmod(position, self.order.batch)
        item = self.order.item(iteration, slot)
        picture = self.dataset.read(item.id)
        if item.unshifted:
            target = self.labels.encode_unshifted(picture.mask, item.annotated)
        else:
            target = self.labels.encode(picture.mask, picture.saliency, item.annotated)
        transform = self.variation.transform(self._padding(item))
        with torch.random.fork_rng(devices=[]):
            # not torch.manual_seed: it reseeds GPUs too, in this process but not in a loader's
            torch.default_generator.manual_seed(
                derive_seed(self.order.seed, self.order.step, "augmentation", iteration, slot)
            )
            image, target = transform(tv_tensors.Image(picture.image), tv_tensors.Mask(target))
        return image.as_subclass(Tensor), target.as_subclass(Tensor)

    def _padding(self, item: Item) -> int:
        if not self.variation.pads_background:
            return VOID
        return 0 if item.unshifted else self.labels.padding(saliency=self.dataset.saliency)


def training_batches(
    order: SampleOrder,
    dataset: SegmentationDataset,
    labels: LabelSpace,
    variation: Variation,
    *,
    iterations: int,
    workers: int,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """The batches of one step: uint8 images (B, 3, S, S) and uint8 targets (B, S, S) with S = crop.

    Args:
        order: which image when.
        dataset: where the pictures are.
        labels: the label space after this step.
        variation: how pictures are varied.
        iterations: number of batches.
        workers: processes that load; does not change what is loaded.
    """
    samples = TrainingSamples(order, dataset, labels, variation, iterations)
    return DataLoader(
        samples, batch_size=order.batch, shuffle=False, num_workers=workers, pin_memory=torch.cuda.is_available()
    )
