"""The order of training samples, a pure function of (seed, step, iteration, slot).

Nothing depends on the number of workers or processes, or on what was drawn before: any place of the stream can be
entered directly, and two methods with the same seed see the same pictures in the same order.
"""

import atexit
import hashlib
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ssul.data.dataset import SegmentationDataset
from ssul.data.picture_cache import PictureCache, cache_bytes
from ssul.data.window import draw_window
from ssul.errors import UserError
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

    def dropout_seeds(self, iteration: int, share: tuple[int, int] = (0, 1)) -> list[int]:
        """A seed for the dropout of each sample that one of several processes has in a batch, see `slots_of`."""
        slots = slots_of(self.batch, share)
        return [derive_seed(self.seed, self.step, "dropout", iteration, slot) for slot in slots]

    def _draw(self, source: str, items: Sequence[Item], position: int) -> Item:
        round_, place = divmod(position, len(items))
        return items[int(_shuffle(self.seed, self.step, source, round_, len(items))[place])]


@lru_cache(maxsize=16)  # a batch draws from the running pass, and at its end the next, of two sources
def _shuffle(seed: int, step: int, source: str, round_: int, count: int) -> Tensor:
    """The order of one pass over a source, int64 (count,)."""
    generator = torch.Generator().manual_seed(derive_seed(seed, step, source, round_))
    return torch.randperm(count, generator=generator)


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


class TrainingBatches(DataLoader[Any]):
    """Batches of samples. What people and machines do to a loading process is raised here as it was raised there."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:  # type: ignore[override]  # one is made for each iteration
        loaded = super().__iter__()
        try:
            for batch in loaded:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            del loaded  # ends its processes; else they would live as long as somebody holds the error's traceback


class _Caught(Dataset[tuple[Tensor, Tensor] | Exception]):
    """The samples, or why there is none: PyTorch hands on an exception's traceback as text, no error number with it."""

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor] | Exception:
        try:
            return self.samples[position]
        except (UserError, OSError) as error:  # a fault of ours keeps its traceback
            return error


def _batched(samples: list[tuple[Tensor, Tensor] | Exception]) -> Any:
    errors = [one for one in samples if isinstance(one, Exception)]
    return errors[0] if errors else default_collate(samples)


def training_batches(
    order: SampleOrder,
    dataset: SegmentationDataset,
    labels: LabelSpace,
    variation: Variation,
    *,
    iterations: int,
    workers: int,
    share: tuple[int, int] = (0, 1),
    first: int = 0,
) -> TrainingBatches:
    """The batches of one step: uint8 images (B, 3, S, S) and uint8 targets (B, S, S) with S = crop.

    Args:
        order: which image when.
        dataset: where the pictures are.
        labels: the label space after this step.
        variation: how pictures are varied.
        iterations: number of batches of the whole step.
        workers: processes that load; does not change what is loaded.
        share: (rank, processes): which slots of each batch this of several training processes loads, see `slots_of`.
        first: the iteration (from 0) to begin with, where those before it are done.

    Raises:
        UserError: if there are more processes than slots in a batch.
    """
    cache = PictureCache(cache_bytes(workers))
    samples = TrainingSamples(order, dataset, labels, variation, iterations, share=share, cache=cache)
    return TrainingBatches(
        _Caught(samples),
        collate_fn=_batched,
        batch_size=len(samples.slots),
        sampler=range(first * len(samples.slots), len(samples)),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # else it draws from torch's random state
        worker_init_fn=_leave_signals,
    )


def _leave_signals(worker: int) -> None:
    """Ctrl-C and SIGTERM are the training's, which may want another batch before it ends; see `interruptible`."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@atexit.register
def _end_loaders() -> None:
    """Ends loaders that an error has left: Python would ask them by SIGTERM, which they do not heed, and wait."""
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def slots_of(batch: int, share: tuple[int, int]) -> range:
    """The slots of every batch that one of several training processes loads: its rank and every `processes`-th on.

    So the shares differ by one slot at most, and each has its part of the new images and of the memory.

    Args:
        batch: slots in all.
        share: (rank, processes) with rank in 0..processes-1.

    Raises:
        UserError: if there are more processes than slots.
        ValueError: if there is no such rank.
    """
    rank, processes = share
    if not 0 <= rank < processes:
        raise ValueError(f"there is no rank {rank} among {processes} processes")
    if batch < processes:
        raise UserError(
            f"a batch of {batch} cannot be shared by {processes} processes: train with at most {batch} processes, "
            "or with a larger batch"
        )
    return range(rank, batch, processes)
