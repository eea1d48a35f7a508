"""How long the chosen recipe trains, from a few measured iterations on random images."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.config.method import keeps_something
from ssul.config.schema import Optimisation, Params
from ssul.data.sampling import TrainingItem
from ssul.labels.space import LabelSpace
from ssul.methods.build import build_objective
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.scenario.scenario import Scenario
from ssul.training.job import planned_iterations, sample_order
from ssul.training.loop import learn_step
from ssul.training.objective import FixedObjective, FixedPart, Objective, base_objective

_SECONDS, _ITERATIONS = 8.0, 5
"""Measuring ends after either."""
_SMALL_BATCH = 4
"""On a CPU, where time grows with the batch; a GPU is measured with all of it, because it must fit."""


@dataclass(frozen=True)
class Estimate:
    """What the trainings of all steps cost.

    Attributes:
        base, increments: seconds of step 0, and of all later steps.
        base_iteration, increment_iteration: seconds each, features included; the latter is None where it cannot be
            measured before the base is trained, so that it counts like the former.
        memory: peak bytes on a GPU; None elsewhere.
        checkpoint: bytes of the last network.
    """

    base: float
    increments: float
    base_iteration: float
    increment_iteration: float | None
    memory: int | None
    checkpoint: int


def estimate_time(params: Params, scenario: Scenario, images: Sequence[int], fabric: Fabric) -> Estimate:
    """Measures the training of the base and of the first increment.

    Args:
        params: all parameters.
        scenario: which classes each step learns.
        images: the number of training images of each step.
        fabric: the device.

    Raises:
        RuntimeError: if the memory does not suffice.
    """
    method, steps = params.method, scenario.steps
    labels = LabelSpace((steps[0].new,), method.unknown, method.activation, method.constant_background)
    architecture = Architecture(**params.model.model_dump(exclude={"weights"}), constant_head=labels.constant_head)
    model = IncrementalDeepLab(architecture, labels.head_sizes)
    objective = base_objective(model, labels, method.loss, method.positive_weight)
    base = increment = _seconds(objective, labels, steps[0].new, params, params.recipe.base, fabric)
    measured = len(steps) > 1 and not keeps_something(method.name)
    learning, views = increment, params.recipe.increment.views
    if measured:
        grown = build_objective(method, objective.model.cpu(), labels, steps[1].new)
        increment = learning = _seconds(grown, grown.labels, steps[1].new, params, params.recipe.increment, fabric)
        if views is not None:
            learning = _seconds(grown, grown.labels, steps[1].new, params, params.recipe.increment, fabric, fixed=True)
    fixed_share = 1.0 if views is None else min(1.0, views / params.recipe.increment.epochs)
    sizes = LabelSpace(tuple(step.new for step in steps), method.unknown, method.activation, method.constant_background)
    return Estimate(
        base=base * estimated_iterations(params, images[0], 0),
        increments=sum(
            (fixed_share * (increment - learning) + learning) * estimated_iterations(params, count, step)
            for step, count in enumerate(images[1:], start=1)
        ),
        base_iteration=base,
        increment_iteration=increment if measured else None,
        memory=torch.cuda.max_memory_allocated(fabric.device) if fabric.device.type == "cuda" else None,
        checkpoint=sum(
            tensor.nbytes for tensor in IncrementalDeepLab(architecture, sizes.head_sizes).state_dict().values()
        ),
    )


def estimated_iterations(params: Params, images: int, step: int) -> int:
    """The iterations of a step with so many images, in increments with a full memory if there is one."""
    one = TrainingItem("", ())
    exemplars = params.memory.capacity if step else 0
    return planned_iterations(params, sample_order(params, (one,) * images, (one,) * exemplars, step))


def _seconds(
    objective: Objective,
    labels: LabelSpace,
    new: Sequence[int],
    params: Params,
    optimisation: Optimisation,
    fabric: Fabric,
    *,
    fixed: bool = False,
) -> float:
    """Seconds of an iteration with the recipe's batch; the first one, which also prepares, does not count.

    With `fixed` the features are known.
    """
    batch = optimisation.batch if fabric.device.type == "cuda" else min(_SMALL_BATCH, optimisation.batch)
    images, target = _random_batch(labels, new, batch, params)
    objective.to(fabric.device)
    for _ in objective.calibrate(
        [(objective.model.normalisation.normalise(images.to(fabric.device)), target.to(fabric.device))]
    ):
        pass
    normalisation, precision = objective.model.normalisation, fabric.strategy.precision
    given: Tensor | FixedPart = images
    if fixed:
        inputs = normalisation.network_input(images.to(fabric.device))
        with precision.forward_context():
            given = objective.fixed_part(precision.convert_input(inputs), target.to(fabric.device))
    groups = objective.parameter_groups(optimisation.lr, backbone_ratio=optimisation.backbone_lr_ratio)
    progress = learn_step(
        FixedObjective(objective) if fixed else objective,
        repeat((given, target)),
        [{**group, "lr": group["lr"] * 1e-6} for group in groups],  # random images must not make the loss diverge
        fabric=fabric,
        iterations=1 + _ITERATIONS,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
        schedule=optimisation.schedule,
        accumulate=optimisation.accumulate if batch == optimisation.batch else 1,
        normalisation=None if fixed else normalisation,
    )
    next(progress)
    started, done = _now(fabric), 0
    for done, _ in enumerate(progress, start=1):  # noqa: B007
        if _now(fabric) - started > _SECONDS:
            break
    return (_now(fabric) - started) / max(done, 1) * optimisation.batch / batch


def _random_batch(labels: LabelSpace, new: Sequence[int], batch: int, params: Params) -> tuple[Tensor, Tensor]:
    crop, generator = params.recipe.crop, torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, crop, crop), dtype=torch.uint8, generator=generator)
    blocks = torch.randint(0, 1 + len(new), (batch, 4, 4), generator=generator)
    ids = torch.tensor([0, *new], dtype=torch.uint8)[blocks]
    side = math.ceil(crop / 4)
    masks = ids.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :crop, :crop].contiguous()
    saliency = torch.ones_like(masks) if params.data.saliency == "maps" else None
    return images, labels.encode(masks, saliency, new)


def _now(fabric: Fabric) -> float:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)
    return time.perf_counter()
