"""The training loop of one step: a generator of progress."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ssul.errors import UserError
from ssul.model.normalisation import Normalisation
from ssul.model.seeded import SeededModule
from ssul.training.distributed import convert_to_sync_batchnorm
from ssul.training.objective import FixedPart, Loss
from ssul.training.schedule import SCHEDULES, ScheduleName
from ssul.training.shared_batch import computed_in_turn
from ssul.training.state import TrainingState, capture, restore


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a step's training after an iteration.

    Attributes:
        iteration: iterations done, from 1.
        iterations: in total.
        loss: the batch's loss.
        lr: the learning rate of the heads in this iteration.
        images_per_second: since the loop started.
        parts: further numbers of the method, by name.
        capture: returns the state, from which another loop can resume; call it before the next iteration.
    """

    iteration: int
    iterations: int
    loss: float
    lr: float
    images_per_second: float
    parts: dict[str, float]
    capture: Callable[[], TrainingState] = field(repr=False, compare=False)


class DivergedError(UserError):
    """A loss is not finite.

    Attributes:
        iteration: where, from 0.
    """

    def __init__(self, iteration: int, iterations: int, loss: float, rates: list[float]) -> None:
        """Takes the iteration (from 0) of how many, the loss, and the learning rates."""
        super().__init__(
            f"the loss is {loss} at iteration {iteration + 1} of {iterations} with rates "
            f"{', '.join(f'{rate:.3g}' for rate in rates)}: lower recipe.*.lr, or use recipe.precision=32"
        )
        self.iteration = iteration


def iteration_count(images: int, *, epochs: int, batch: int, drop_last: bool = False) -> int:
    """Iterations of a step: an epoch is ceil(images / batch) batches, and at least one.

    Args:
        images: of the step, exemplars left out.
        epochs: passes over them.
        batch: how many of them a batch shows.
        drop_last: floor(images / batch) batches, as in SSUL's published code.
    """
    return epochs * max(1, images // batch if drop_last else math.ceil(images / batch))


def learn_step(
    objective: nn.Module,
    batches: Iterable[tuple[Tensor | FixedPart, Tensor]],
    groups: list[dict[str, Any]],
    *,
    fabric: Fabric,
    normalisation: Normalisation | None,
    iterations: int,
    momentum: float,
    weight_decay: float,
    schedule: ScheduleName,
    accumulate: int = 1,
    seeds: Callable[[int], Sequence[int]] | None = None,
    resume_from: TrainingState | None = None,
) -> Iterator[TrainingProgress]:
    """Prepares everything at once; then learns one step by SGD with Nesterov momentum and yields after each iteration.

    The caller may evaluate the network between two iterations, and leaves it in training mode. With several processes,
    each of them calls this with its part of every batch; the progress is of the whole batch.

    Args:
        objective: a module (images, target) -> Loss; holds the network.
        batches: uint8 images (B, 3, H, W) and uint8 targets (B, H, W), for each remaining iteration; in place of the
            images what else the objective takes.
        groups: the optimiser's groups with their initial learning rates.
        fabric: devices and precision.
        normalisation: of the network's input; None where the batches hold no images.
        iterations: of the whole step.
        momentum, weight_decay: of SGD.
        schedule: of the learning rates.
        accumulate: in how many equal parts, one after the other, a process computes its share of a batch.
        seeds: iteration (from 0) -> seeds of this process's samples; None draws from torch's random state.
        resume_from: a state of the same training; None starts from the beginning.

    Raises:
        StateMismatchError: if the state is of another training.
        UserError: if BatchNorm cannot learn on these devices.
        DivergedError: if the loss is not finite; the weights are those before this iteration, but the statistics of
            BatchNorm include its batch.
    """
    sgd = torch.optim.SGD(
        groups, lr=groups[0]["lr"], momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay
    )
    initial = [group["lr"] for group in sgd.param_groups]
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the faster layout of convolutions
    convert_to_sync_batchnorm(objective.train(), fabric)
    wrapped, optimizer = fabric.setup(objective, sgd)
    wrapped.train()
    drawing = [module for module in objective.modules() if isinstance(module, SeededModule)]
    precision = fabric.strategy.precision
    if resume_from is not None:
        precision.load_state_dict(restore(resume_from, objective, sgd, precision.state_dict()))
    done = 0 if resume_from is None else resume_from.iteration
    rate_at = SCHEDULES[schedule]

    def learn() -> Iterator[TrainingProgress]:
        seen, started = 0, time.perf_counter()
        for iteration, (inputs, target) in zip(range(done, iterations), batches, strict=False):
            for group, rate in zip(optimizer.param_groups, initial, strict=True):
                group["lr"] = rate_at(rate, iteration, iterations)
            optimizer.zero_grad(set_to_none=True)
            drawn = None if seeds is None else seeds(iteration)
            values: list[Loss] = []
            with computed_in_turn(accumulate, target):
                for first in range(accumulate):
                    every = slice(first, None, accumulate)  # so that each part has new images and exemplars
                    for module in drawing:
                        module.seeds = None if drawn is None else drawn[every]
                    part = fabric.to_device(_some(inputs, every))
                    if normalisation is not None:
                        part = normalisation.network_input(part)
                    with fabric.no_backward_sync(wrapped, enabled=first + 1 < accumulate):
                        loss = wrapped(part, fabric.to_device(target[every]))
                        fabric.backward(loss.total / accumulate)
                    values.append(Loss(loss.total.detach(), loss.parts))
            value, parts = _reduce_metrics(values, fabric)
            if not math.isfinite(value):
                raise DivergedError(iteration, iterations, value, [group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            seen += len(target) * fabric.world_size
            yield TrainingProgress(
                iteration=iteration + 1,
                iterations=iterations,
                loss=value,
                lr=rate_at(max(initial), iteration, iterations),
                images_per_second=seen / (time.perf_counter() - started),
                parts=parts,
                capture=partial(capture, objective, sgd, iteration + 1, precision.state_dict()),
            )

    return learn()


def _some(inputs: Tensor | FixedPart, which: slice) -> Any:
    """Some samples of a batch."""
    if isinstance(inputs, Tensor):
        return inputs[which]
    return FixedPart._make(None if one is None else one[which] for one in inputs)


def _reduce_metrics(losses: Sequence[Loss], fabric: Fabric) -> tuple[float, dict[str, float]]:
    """The loss and the parts of a batch, as means over its parts and all processes; waits for the device once."""
    values = torch.stack([torch.stack([loss.total, *loss.parts.values()]).float() for loss in losses]).mean(dim=0)
    total, *parts = fabric.all_reduce(values, reduce_op="mean").tolist()  # type: ignore[union-attr]
    return total, dict(zip(losses[0].parts, parts, strict=True))
