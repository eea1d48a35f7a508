"""The order of training samples, a pure function of (seed, step, iteration, slot).

Nothing depends on the number of workers or processes, or on earlier samples: any iteration can be entered directly,
and two methods with the same seed see the same images in the same order.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ssul.errors import UserError


@dataclass(frozen=True)
class TrainingItem:
    """A training image and its annotation.

    Attributes:
        id: its name in the image list.
        annotated: dataset ids of the annotated classes.
        without_unknown_shift: whether its target is encoded as the published code encodes exemplars, see
            `LabelSpace.encode_without_unknown_shift`.
    """

    id: str
    annotated: tuple[int, ...]
    without_unknown_shift: bool = False


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that depends only on all parts, and is the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def seed_everything(*parts: object) -> None:
    """Seeds torch's random state by `derive_seed`: new weights and nothing else are drawn from it."""
    torch.manual_seed(derive_seed(*parts))


@dataclass(frozen=True)
class SampleOrder:
    """The item of each place: endless shuffled passes over the new images and, separately, over the memory.

    With a memory, the last slots of each batch are exemplars, and only as many new images are drawn as are used (the
    published code draws a full new batch and overwrites half of it). A step with fewer images than a batch repeats
    them.

    Attributes:
        new: the new images.
        memory: the exemplars.
        batch: slots of a batch, at least 2.
        seed: the run's seed.
        step: the step's number, from 0.
        memory_share: the share of a batch that exemplars take, if there are any; rounded down, but one slot at least is
            an exemplar's and one a new image's.
        appended: whether the exemplars have no slots of their own, but join the new images.
    """

    new: tuple[TrainingItem, ...]
    memory: tuple[TrainingItem, ...]
    batch: int
    seed: int
    step: int
    memory_share: float = 0.5
    appended: bool = False

    @property
    def new_slots(self) -> int:
        """How many slots of a batch show new images (and appended exemplars); the first ones."""
        if self.appended or not self.memory:
            return self.batch
        return self.batch - min(max(1, int(self.batch * self.memory_share)), self.batch - 1)

    @cached_property  # every sample asks for it
    def images(self) -> tuple[TrainingItem, ...]:
        """What these slots draw from."""
        return (*self.new, *self.memory) if self.appended else self.new

    def item(self, iteration: int, slot: int) -> TrainingItem:
        """The item in a slot (0..batch-1) of the batch of an iteration (from 0)."""
        source = self._source(slot)
        pass_, place = divmod(source.position(iteration, slot), len(source.items))
        return source.items[int(self._shuffle(source, pass_)[place])]

    def view_place(self, iteration: int, slot: int, views: int) -> tuple[int, int]:
        """The place whose sample is shown at a place, where every image has so many fixed views.

        The first passes over the images show what they always show. Then pass p shows every image as pass p modulo
        `views` did, in an order of its own.

        Args:
            iteration, slot: the place.
            views: of each image, at least 1.

        Returns:
            (iteration, slot) of the same image: the place itself in the first passes, else an earlier one.
        """
        source = self._source(slot)
        count = len(source.items)
        pass_, place = divmod(source.position(iteration, slot), count)
        if pass_ < views:
            return iteration, slot
        first = pass_ % views
        item = self._shuffle(source, pass_)[place]
        return source.place(first * count + int((self._shuffle(source, first) == item).nonzero()))

    def dropout_seeds(self, iteration: int, rank: int = 0, world_size: int = 1) -> list[int]:
        """A dropout seed for each sample of a rank's part of a batch, see `rank_slots`."""
        slots = rank_slots(self.batch, rank, world_size)
        return [derive_seed(self.seed, self.step, "dropout", iteration, slot) for slot in slots]

    def _source(self, slot: int) -> "_Source":
        new_slots = self.new_slots
        if slot < new_slots:
            return _Source("new", self.images, range(new_slots))
        return _Source("memory", self.memory, range(new_slots, self.batch))

    def _shuffle(self, source: "_Source", pass_: int) -> Tensor:
        return _shuffle(self.seed, self.step, source.name, pass_, len(source.items))


@dataclass(frozen=True)
class _Source:
    """What some slots of every batch draw from, in endless passes.

    Attributes:
        name: new or memory.
        items: what is drawn.
        slots: which slots.
    """

    name: str
    items: tuple[TrainingItem, ...]
    slots: range

    def position(self, iteration: int, slot: int) -> int:
        """How many items the source has given before a place."""
        return iteration * len(self.slots) + slot - self.slots.start

    def place(self, position: int) -> tuple[int, int]:
        """The place (iteration, slot) of a position."""
        iteration, slot = divmod(position, len(self.slots))
        return iteration, slot + self.slots.start


@lru_cache(maxsize=64)  # a batch draws from a few passes of two sources, with fixed views from earlier ones too
def _shuffle(seed: int, step: int, source: str, pass_: int, count: int) -> Tensor:
    """The order of one pass over a source, int64 (count,)."""
    generator = torch.Generator().manual_seed(derive_seed(seed, step, source, pass_))
    return torch.randperm(count, generator=generator)


def rank_slots(batch: int, rank: int, world_size: int) -> range:
    """The slots of every batch that a rank loads: `rank`, `rank + world_size` and so on.

    The numbers of slots differ by one at most, and every rank has a part of the new images and of the memory.

    Args:
        batch: slots of a batch.
        rank: 0..world_size-1.
        world_size: number of training processes.

    Raises:
        UserError: if there are more processes than slots.
        ValueError: if the rank is outside its range.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is outside 0..{world_size - 1}")
    if batch < world_size:
        raise UserError(
            f"a batch of {batch} cannot be shared by {world_size} processes: train with at most {batch} processes, "
            "or with a larger batch"
        )
    return range(rank, batch, world_size)
