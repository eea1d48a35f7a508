"""Fixed views: what a frozen backbone and ASPP compute of a few augmentations of each image, kept in files.

Where only heads learn, the features of an image change with its augmentation alone. With V views they are computed for
the samples of the first V passes over the images, and later passes show these again, see `SampleOrder.view_place`.

A folder holds a safetensors file for each batch and process, `ITERATION.RANKofPROCESSES.safetensors`: the samples that
this process loads of the batch and that are the first of their view. A file appears whole, so that a process that goes
on computes only the batches that are missing.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import Dataset

from ssul.data.sampling import SampleOrder, rank_slots
from ssul.errors import UserError
from ssul.io.atomic import replace_file
from ssul.model.checkpoint import save_tensors
from ssul.training.objective import FixedPart

_TARGET = "target"


@dataclass(frozen=True)
class Views:
    """Which samples of a training are first views.

    Attributes:
        order: of all samples.
        iterations: of the training.
        views: of each image.
    """

    order: SampleOrder
    iterations: int
    views: int

    def first_slots(self, iteration: int, slots: Sequence[int]) -> list[int]:
        """Those slots of a batch whose sample is the first of its view."""
        here = [(iteration, slot) for slot in slots]
        return [place[1] for place in here if self.order.view_place(*place, self.views) == place]

    @cached_property
    def batches(self) -> dict[int, int]:
        """The number of first views in each batch that has some, by iteration, ascending."""
        found: dict[int, int] = {}
        for iteration in range(self.iterations):
            count = len(self.first_slots(iteration, range(self.order.batch)))
            if not count:  # all views are known: no later pass shows another
                break
            found[iteration] = count
        return found

    @property
    def total(self) -> int:
        """The number of first views."""
        return sum(self.batches.values())


class ViewFiles:
    """The folder of one training's views, as the processes write and read it."""

    def __init__(self, folder: Path, views: Views, world_size: int) -> None:
        """Takes the folder, which need not exist, the samples, and the number of processes that share a batch."""
        self.folder, self.views, self.world_size = folder, views, world_size
        self._opened: dict[tuple[int, int], _Opened] = {}

    def missing(self) -> dict[int, int]:
        """The batches that some process has not written yet: their numbers of samples by iteration, ascending."""
        ranks = range(self.world_size)
        return {
            iteration: count
            for iteration, count in self.views.batches.items()
            if not all(self._path(iteration, rank).exists() for rank in ranks if self.slots(iteration, rank))
        }

    def write(self, iteration: int, rank: int, fixed: FixedPart, target: Tensor) -> int:
        """Writes a process's samples of a batch; they survive a power failure.

        Args:
            iteration: of the batch.
            rank: of the process.
            fixed: of these samples, on any device, in any layout.
            target: uint8 (B, H, W).

        Returns:
            The size of the file in bytes.

        Raises:
            OSError: if the disk refuses it.
        """
        tensors = {name: one for name, one in fixed._asdict().items() if one is not None} | {_TARGET: target}
        with replace_file(self._path(iteration, rank)) as temporary:
            # channels last, as convolutions have made the features and take them
            save_tensors(temporary, {name: _channels_last(one) for name, one in tensors.items()})
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        return self._path(iteration, rank).stat().st_size

    def read(self, iteration: int, slot: int) -> dict[str, Tensor]:
        """The fixed part of the sample at a place, and its target.

        Args:
            iteration, slot: of any place of the training.

        Raises:
            UserError: if a file is missing or damaged.
        """
        iteration, slot = self.views.order.view_place(iteration, slot, self.views.views)
        rank = slot % self.world_size  # as `rank_slots`
        opened = self._opened.get((iteration, rank))
        path = self._path(iteration, rank)
        try:
            if opened is None:
                opened = self._opened[iteration, rank] = _Opened(path, self.slots(iteration, rank))
            return opened.sample(slot)
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(
                f"the features {path} are damaged ({error}): delete {self.folder}, then start again"
            ) from None

    def slots(self, iteration: int, rank: int) -> list[int]:
        """The slots of a batch that a process writes."""
        return self.views.first_slots(iteration, rank_slots(self.views.order.batch, rank, self.world_size))

    def _path(self, iteration: int, rank: int) -> Path:
        return self.folder / f"{iteration}.{rank}of{self.world_size}.safetensors"


class _Opened:
    """A file of samples in memory, as far as the kernel keeps it there."""

    def __init__(self, path: Path, slots: Sequence[int]) -> None:
        self._rows = {slot: row for row, slot in enumerate(slots)}
        content: Any = safe_open(path, framework="pt")
        self._slices = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118

    def sample(self, slot: int) -> dict[str, Tensor]:
        row = self._rows[slot]
        return {name: part[row : row + 1][0] for name, part in self._slices.items()}


@dataclass(frozen=True)
class ViewSamples(Dataset[dict[str, Tensor]]):
    """A process's samples by position, as `TrainingDataset` numbers them, from the files of their views."""

    files: ViewFiles
    rank: int
    slots: range = field(init=False)

    def __post_init__(self) -> None:
        batch = self.files.views.order.batch
        object.__setattr__(self, "slots", rank_slots(batch, self.rank, self.files.world_size))

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        iteration, place = divmod(position, len(self.slots))
        return self.files.read(iteration, self.slots[place])


def unpacked(batch: dict[str, Tensor]) -> tuple[FixedPart, Tensor]:
    """What the loop takes, of a stacked batch of `ViewSamples`."""
    parts: dict[str, Any] = {
        name: _channels_first(batch[name]) if name in batch else None for name in FixedPart._fields
    }
    return FixedPart(**parts), batch[_TARGET]


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def _channels_first(tensor: Tensor) -> Tensor:
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor
