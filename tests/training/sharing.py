"""A training shared by several processes, as a script: writes what rank 0 finds.

SSUL_DEVICES=2 python -m tests.training.sharing FILE
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.data.sampling import SampleOrder, TrainingItem, rank_slots
from ssul.inference.device import choose_device
from ssul.inference.processes import fabric_settings, launch
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.dkd import increment as dkd
from ssul.methods.ilt import increment as ilt
from ssul.methods.lwf import increment as lwf
from ssul.methods.lwf_mc import increment as lwf_mc
from ssul.methods.mib import increment as mib
from ssul.methods.plop import increment as plop
from ssul.methods.ssul.increment import prepare_increment
from ssul.methods.star import increment as star
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.heads import Head
from ssul.training.fusion import WeightFusion
from ssul.training.loop import TrainingProgress, learn_step
from ssul.training.objective import Objective, Supervised
from ssul.training.state import TrainingState
from tests.methods.star.past import kept_of_three
from tests.training import viewed

SMALL = Architecture("small", "deeplabv3", 8, 16)
SIGMOID = LabelSpace(((1, 2), (3,)), unknown=True, activation="sigmoid")
SIGMOIDS = replace(SIGMOID, unknown=False)
SOFTMAX = LabelSpace(((1, 2), (3,)), unknown=False, activation="softmax")
CONSTANT = LabelSpace(((1, 2), (3,)), unknown=False, activation="sigmoid", constant_background=True)
AUXILIARY = replace(CONSTANT, unknown=True)
BATCH, ITERATIONS = 4, 6
CASES = (
    *("base", "base, softmax", "increment", "increment, nothing frozen but norms"),
    *("mib", "mib, fused", "plop", "lwf", "ilt", "lwf_mc", "star", "dkd"),
)


def dkd_increment(
    model: IncrementalDeepLab, old: LabelSpace, new: tuple[int, ...], *, freeze_norm: bool
) -> dkd.DkdIncrement:
    """DKD's, whose norms are always frozen; with the published weights a few iterations at this rate diverge."""
    assert freeze_norm
    weights = {"positive_weight": 2.0, "distillation": 0.1, "decomposed": 0.1, "other_decay": 0.0}
    return dkd.prepare_increment(model, old, new, **weights)


def star_increment(
    model: IncrementalDeepLab, old: LabelSpace, new: tuple[int, ...], *, freeze_norm: bool
) -> star.StarIncrement:
    """STAR's, whose norms are always frozen."""
    assert freeze_norm
    weights = {"distillation": 5.0, "separation": 0.05, "newest_lr_ratio": 10.0, "positive_weight": 4.0}
    return star.prepare_increment(model, old, new, kept=kept_of_three().tensors, **weights)


WHOLE_NETWORK: dict[str, tuple[LabelSpace, Callable[..., Objective]]] = {
    "mib": (SOFTMAX, partial(mib.prepare_increment, distillation=10.0)),
    "plop": (SOFTMAX, partial(plop.prepare_increment, pod=0.01, pod_logits=0.001, entropy="exact")),
    "lwf": (SOFTMAX, partial(lwf.prepare_increment, distillation=1.0)),
    "ilt": (SOFTMAX, partial(ilt.prepare_increment, distillation=1.0, features=1.0)),
    "lwf_mc": (SIGMOIDS, lwf_mc.prepare_increment),
    "star": (CONSTANT, star_increment),
    "dkd": (AUXILIARY, dkd_increment),
}
"""Methods that train everything but, here, the norms."""
ORDER = SampleOrder((TrainingItem("a", ()),), (), BATCH, seed=3, step=2)


def objective_of(case: str) -> tuple[Objective, int]:
    """The objective of a case, and the number of channels in its targets."""
    torch.manual_seed(0)
    name = case.partition(",")[0]
    labels, prepare = WHOLE_NETWORK.get(name, (SOFTMAX if case == "base, softmax" else SIGMOID, None))
    model = IncrementalDeepLab(replace(SMALL, constant_head=labels.constant_head), labels.head_sizes)
    model.train()(torch.randn(4, 3, 33, 33))
    with torch.no_grad():
        for head in model.heads:
            if isinstance(head, Head):
                head.classifier.weight.mul_(30)
        model.heads[-1].classifier.bias.fill_(0.5)  # type: ignore[union-attr, operator]  # certain here and there
    channels = labels.num_channels + 2
    if case.startswith("base"):
        model.freeze_norms()
        return Supervised(model, labels, "ce" if labels is SOFTMAX else "bce"), labels.num_channels
    if prepare is not None:
        fusion = WeightFusion.with_network_before(model, old=labels.num_classes, new=2)
        objective = prepare(model, labels, (4, 5), freeze_norm=True)
        if case.endswith("fused"):
            model.freeze_earlier_heads()
            objective.fusion = fusion
        return calibrated(objective, channels), channels
    switches = {"weight_transfer": True, "freeze": case == "increment", "freeze_norm": True, "pseudo_threshold": 0.6}
    return prepare_increment(model, labels, (4, 5), **switches, loss="bce"), channels  # type: ignore[arg-type]


def calibrated(objective: Objective, channels: int) -> Objective:
    """The objective after it has looked at the first batch."""
    images, target = batches(channels, range(BATCH))[0]
    for _ in objective.calibrate([(objective.model.normalisation.normalise(images), target)]):
        pass
    return objective


def batches(channels: int, slots: range) -> list[tuple[Tensor, Tensor]]:
    """Images with very different shares of void pixels, so that a mean over one rank would differ."""
    made = []
    for iteration in range(ITERATIONS):
        generator = torch.Generator().manual_seed(iteration)
        images = torch.randint(256, (BATCH, 3, 33, 33), generator=generator, dtype=torch.uint8)
        target = torch.randint(channels, (BATCH, 33, 33), generator=generator).to(torch.uint8)
        for place in range(BATCH):
            target[place, : 30 * (place % 2)] = VOID
        made.append((images[list(slots)], target[list(slots)]))
    return made


def learn(
    case: str,
    fabric: Fabric,
    rank: int = 0,
    world_size: int = 1,
    start: TrainingState | None = None,
    *,
    accumulate: int = 1,
    prepare: Callable[[Objective], Objective] = lambda objective: objective,
) -> tuple[Objective, Iterator[TrainingProgress]]:
    """A new objective of a case, prepared, and the iterations of its training, from a state if one is given."""
    objective, channels = objective_of(case)
    prepare(objective)
    progress = learn_step(
        objective,
        batches(channels, rank_slots(BATCH, rank, world_size))[0 if start is None else start.iteration :],
        objective.parameter_groups(0.02, backbone_ratio=0.5),
        fabric=fabric,
        normalisation=objective.model.normalisation,
        iterations=ITERATIONS,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="poly",
        accumulate=accumulate,
        seeds=lambda iteration: ORDER.dropout_seeds(iteration, rank, world_size),
        resume_from=start,
    )
    return objective, progress


def train(case: str, fabric: Fabric, rank: int = 0, world_size: int = 1, *, accumulate: int = 1) -> dict[str, Any]:
    """Trains a case to its end; returns the numbers of every iteration, and the final weights."""
    objective, progress = learn(case, fabric, rank, world_size, accumulate=accumulate)
    numbers = [{"loss": state.loss, **state.parts} for state in progress]
    objective.finish()
    return {"numbers": numbers, "weights": objective.model.state_dict()}


def train_with_views(folder: Path, fabric: Fabric, rank: int = 0, world_size: int = 1) -> dict[str, Any]:
    """A training with two views of each image; the losses, the final weights, and the files of the views."""
    if fabric.is_global_zero:
        viewed.photographs(folder)
    fabric.barrier()
    one = viewed.session(folder, viewed.photographs_in(folder), fabric, 2, (rank, world_size))
    losses, weights = viewed.learned(one)
    assert one.views is not None
    names = sorted(path.name for path in one.views.folder.iterdir())
    return {"losses": losses, "weights": weights, "files": names}


def main(file: str) -> None:
    """Trains every case; rank 0 writes its progress."""
    fabric = choose_device("32", fabric_settings())
    ranks = launch(fabric)
    found = {case: train(case, fabric, *ranks) for case in CASES}
    found["in two parts each"] = train("increment", fabric, *ranks, accumulate=2)
    found["views"] = train_with_views(Path(file).with_name("views"), fabric, *ranks)
    if fabric.is_global_zero:
        torch.save(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
