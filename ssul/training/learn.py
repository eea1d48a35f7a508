"""The loop that learns one step; it tells its progress to whoever iterates over it, and knows nobody who listens."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ssul.data.transforms import normalise
from ssul.errors import UserError
from ssul.training.schedule import poly


@dataclass(frozen=True)
class Progress:
    """Where a step's training is after an iteration.

    Attributes:
        iteration: iterations done, from 1.
        iterations: how many there will be.
        loss: the batch's loss.
        lr: the heads' rate that was used.
        images_per_second: over the whole step so far.
        parts: what else the method tells, by name.
    """

    iteration: int
    iterations: int
    loss: float
    lr: float
    images_per_second: float
    parts: dict[str, float]


def iteration_count(images: int, *, epochs: int, batch: int) -> int:
    """Iterations of a step: an epoch is ceil(images / batch) batches, whatever share of a batch memory takes.

    So every method trains equally long on the same step, and a step with fewer images than a batch trains too.
    """
    return epochs * max(1, math.ceil(images / batch))


def learn_step(
    objective: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    groups: list[dict[str, Any]],
    *,
    fabric: Fabric,
    iterations: int,
    momentum: float,
    weight_decay: float,
) -> Iterator[Progress]:
    """Learns one step by SGD with Nesterov momentum and poly rates, and yields after every iteration.

    Args:
        objective: a module (images, target) -> Loss, which holds the network.
        batches: at least `iterations` of uint8 images (B, 3, H, W) and uint8 targets (B, H, W).
        groups: optimiser groups with their initial rates.
        fabric: device and precision.
        iterations: how many.
        momentum, weight_decay: of SGD.

    Raises:
        UserError: if the loss is not finite.
    """
    optimizer = torch.optim.SGD(
        groups, lr=groups[0]["lr"], momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay
    )
    initial = [group["lr"] for group in optimizer.param_groups]
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the convolutions' quicker layout
    wrapped, optimizer = fabric.setup(objective, optimizer)
    wrapped.train()
    seen, started = 0, time.perf_counter()
    for iteration, (images, target) in zip(range(iterations), batches, strict=False):
        for group, rate in zip(optimizer.param_groups, initial, strict=True):
            group["lr"] = poly(rate, iteration, iterations)
        inputs = normalise(fabric.to_device(images)).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss = wrapped(inputs, fabric.to_device(target))
        value = loss.total.item()
        if not math.isfinite(value):
            raise UserError(
                f"the loss is {value} at iteration {iteration + 1} of {iterations} with rates "
                f"{[group['lr'] for group in optimizer.param_groups]}: lower recipe.*.lr, or use recipe.precision=32"
            )
        fabric.backward(loss.total)
        optimizer.step()
        seen += len(images)
        yield Progress(
            iteration=iteration + 1,
            iterations=iterations,
            loss=value,
            lr=poly(max(initial), iteration, iterations),
            images_per_second=seen / (time.perf_counter() - started),
            parts={name: float(part) for name, part in loss.parts.items()},
        )
