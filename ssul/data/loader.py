"""The DataLoader of training batches: workers, signals, errors."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from ssul import environment
from ssul.data.dataset import SegmentationDataset
from ssul.data.image_cache import ImageCache, cache_bytes
from ssul.data.sampling import SampleOrder
from ssul.data.training_set import Augmentation, TrainingDataset
from ssul.errors import UserError
from ssul.labels.space import LabelSpace


class TrainingLoader(DataLoader[Any]):
    """Batches of samples; errors of a loader worker are raised here with their own type."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch annotates another type
        loaded = super().__iter__()
        try:
            for batch in loaded:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        except (ConnectionError, EOFError) as error:  # a batch stayed half handed over: its worker has just died
            if "in DataLoader worker" in str(error):  # the worker raised it itself, and lives
                raise
            reason = str(error) or type(error).__name__
            raise RuntimeError(f"DataLoader worker (pid unknown) exited unexpectedly: {reason}") from None
        finally:
            del loaded  # ends its workers, which would otherwise live as long as the error's traceback


class _Caught(Dataset[Any]):
    """The samples, or their exceptions: PyTorch would only pass on a traceback as text, without the error number."""

    def __init__(self, samples: Dataset[Any]) -> None:
        self.samples = samples

    def __getitem__(self, position: int) -> Any:
        try:
            return self.samples[position]
        except (UserError, OSError) as error:  # any other exception keeps its traceback
            return error


def _batched(samples: list[Any]) -> Any:
    errors = [one for one in samples if isinstance(one, Exception)]
    return errors[0] if errors else default_collate(samples)


def training_loader(
    order: SampleOrder,
    dataset: SegmentationDataset,
    labels: LabelSpace,
    augmentation: Augmentation,
    *,
    iterations: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    start_iteration: int = 0,
    chosen: Mapping[int, Sequence[int]] | None = None,
) -> TrainingLoader:
    """The batches of one step: uint8 images (B, 3, S, S) and uint8 targets (B, S, S) with S = crop.

    Args:
        order: which image is in which batch.
        dataset: reads the images.
        labels: the label space after this step.
        augmentation: the random crop and its padding.
        iterations: number of batches of the whole step.
        workers: number of loader processes; does not affect the batches.
        rank, world_size: the slots of each batch to load, see `rank_slots`.
        start_iteration: the first iteration to load (from 0); a resumed training has done those before it.
        chosen: the iterations to load in place of these, and which of the rank's slots of each; none may be empty.

    Raises:
        UserError: if there are more processes than slots in a batch.
    """
    samples = TrainingDataset(
        order,
        dataset,
        labels,
        augmentation,
        iterations,
        rank=rank,
        world_size=world_size,
        cache=ImageCache(cache_bytes(workers)),
    )
    if chosen is None:
        chosen = dict.fromkeys(range(start_iteration, iterations), samples.slots)
    places = [[samples.position(iteration, slot) for slot in slots] for iteration, slots in chosen.items()]
    return batch_loader(samples, places, workers=workers)


def batch_loader(samples: Dataset[Any], batches: Sequence[list[int]], *, workers: int) -> TrainingLoader:
    """Batches of any samples, each stacked.

    Args:
        samples: by position.
        batches: the positions of each batch's samples.
        workers: number of loader processes; does not affect the batches.
    """
    return TrainingLoader(
        _Caught(samples),
        collate_fn=_batched,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # otherwise it draws from torch's global generator
        worker_init_fn=_leave_signals,
    )


def _leave_signals(worker: int) -> None:
    """Ignores Ctrl-C and SIGTERM: the training handles them and may need another batch; see `stop_on_signal`."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@atexit.register
def _end_loaders() -> None:
    """Kills leftover loader workers at exit; they ignore SIGTERM, so that joining them would hang."""
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def loader_workers(processes: int = 1) -> int:
    """Number of loader workers: SSUL_WORKERS, else one for each free core (none if the CPU trains).

    Args:
        processes: training processes of this host; each has this number of workers.
    """
    given = environment.workers()
    if given is not None:
        return given
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, (cores - 1) // processes) if torch.cuda.is_available() else 0
