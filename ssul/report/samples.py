"""The first training samples of a step, as the training loop gets them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.data.loader import loader_workers, training_loader
from ssul.data.sampling import TrainingItem
from ssul.training.job import TrainingJob


@runtime_checkable
class AddsPseudoLabels(Protocol):
    """An increment that trains on more than the annotation, see `MethodParams.adds_pseudo_labels`."""

    def completed(self, images: Tensor, target: Tensor) -> Tensor:
        """The target that the pixel loss gets: normalised images and target of a batch -> uint8 (B, H, W)."""


@dataclass(frozen=True)
class TrainingSample:
    """One sample.

    Attributes:
        iteration, slot: its place, both from 0.
        item: the image and its annotation.
        exemplar: whether it comes from the memory.
        image: uint8 (3, S, S), augmented.
        target: uint8 (S, S), channels or VOID, as annotated.
        completed: the same with pseudo-labels; None if the objective adds none.
    """

    iteration: int
    slot: int
    item: TrainingItem
    exemplar: bool
    image: Tensor
    target: Tensor
    completed: Tensor | None


def first_samples(job: TrainingJob, count: int, fabric: Fabric | None) -> Iterator[TrainingSample]:
    """The samples of the first batches, in the order of iterations and slots.

    Pseudo-labels are those of whole batches, because the network rounds differently for one image alone.

    Args:
        job: the training; if its objective calibrates, it has done so.
        count: how many at most.
        fabric: device and precision of the pseudo-labels; None leaves them out.
    """
    order, objective = job.order, job.objective
    complete = None if fabric is None else _completion(job, fabric)
    batches = training_loader(
        order,
        job.dataset,
        objective.labels,
        job.augmentation,
        iterations=min(job.iterations, -(-count // order.batch)),
        workers=loader_workers(),
    )
    exemplars = frozenset(order.memory)
    for iteration, (images, target) in enumerate(batches):
        completed = None if complete is None else complete(images, target)
        for slot in range(min(order.batch, count - iteration * order.batch)):
            item = order.item(iteration, slot)
            yield TrainingSample(
                iteration,
                slot,
                item,
                slot >= order.new_slots or (order.appended and item in exemplars),
                images[slot],
                target[slot],
                None if completed is None else completed[slot],
            )


def _completion(job: TrainingJob, fabric: Fabric) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Adds the pseudo-labels to the target of a batch of uint8 images; None if the objective adds none."""
    objective = job.objective
    if not isinstance(objective, AddsPseudoLabels):
        return None
    objective.to(fabric.device)
    normalisation = objective.model.normalisation

    def complete(images: Tensor, target: Tensor) -> Tensor:
        inputs = normalisation.network_input(fabric.to_device(images))
        with torch.no_grad(), fabric.autocast():
            return objective.completed(inputs, fabric.to_device(target)).cpu()

    return complete
