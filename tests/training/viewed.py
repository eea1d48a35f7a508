"""A frozen increment with exemplars over a few photographs, with fixed views or without: for one process or several."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.data.dataset import SegmentationDataset
from ssul.data.layout import ImagePaths
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.data.training_set import Augmentation
from ssul.datasets.catalog import find_dataset
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.ssul.increment import prepare_increment
from ssul.model.deeplab import Architecture
from ssul.training.resume import StateFile
from ssul.training.session import TrainingSession
from tests.conftest import HandmadeDataset
from tests.methods.builders import NEW, trained

SSUL = LabelSpace(((3, 1), (5,)), unknown=True, activation="sigmoid")
ITERATIONS = 8
ORDER = SampleOrder(
    tuple(TrainingItem(f"new{number}", NEW) for number in range(3)),
    (TrainingItem("old0", (3, 1)), TrainingItem("new1", (1,))),
    batch=4,
    seed=0,
    step=2,
)
"""Eight batches show the new images in 5 1/3 passes, the exemplars in 8."""
PASSES = 8


def photographs(folder: Path) -> SegmentationDataset:
    """Draws noise with fields of classes, background and void into a folder."""
    book = HandmadeDataset(ImagePaths(folder, find_dataset("voc").train))
    for number, name in enumerate(("new0", "new1", "new2", "old0")):
        mask = np.kron([[0, 2 + number, 0], [1, VOID, 4]], np.ones((15, 11)))
        photograph = np.random.default_rng(number).integers(0, 256, (*mask.shape, 3))
        book.add(name, mask, saliency=255 * (mask > 0), image=photograph)
    return photographs_in(folder)


def photographs_in(folder: Path) -> SegmentationDataset:
    """The photographs that were drawn there."""
    return SegmentationDataset(ImagePaths(folder, find_dataset("voc").train), saliency=True)


def session(
    folder: Path,
    dataset: SegmentationDataset,
    fabric: Fabric,
    views: int | None,
    ranks: tuple[int, int] = (0, 1),
    *,
    head: str = "deeplabv3",
    threshold: float | None = 0.7,
) -> TrainingSession:
    """A session of such an increment, whose state is kept in a folder."""
    model = trained(SSUL, Architecture("small", head, 8, 16), torch.float32)
    switches = {"weight_transfer": True, "freeze": True, "freeze_norm": True, "pseudo_threshold": threshold}
    torch.manual_seed(1)
    objective = prepare_increment(model, SSUL, NEW, **switches, loss="bce")  # type: ignore[arg-type]
    optimisation = SimpleNamespace(momentum=0.9, weight_decay=1e-4, schedule="poly", accumulate=1)
    job: Any = SimpleNamespace(
        step=2,
        class_names=("cat",),
        objective=objective,
        order=ORDER,
        iterations=ITERATIONS,
        dataset=dataset,
        augmentation=Augmentation(32, (0.8, 1.25)),
        optimisation=optimisation,
        groups=objective.parameter_groups(0.05, backbone_ratio=0.1),
        views=views,
        selection=None,
    )
    return TrainingSession(job, fabric, *ranks, StateFile(folder, "one", every=1e9), lambda line: None)


def begun(one: TrainingSession) -> Iterator[Any]:
    """The iterations of a session whose views are computed."""
    iterations = one.start()
    if one.views is not None:
        for _ in one.compute_views(one.views, one.missing_views(one.views)):
            pass
        one.fabric.barrier()
    return iterations


def learned(one: TrainingSession) -> tuple[list[float], dict[str, Tensor]]:
    """Trains to the end; the losses, and the weights that learn."""
    losses = [progress.loss for progress, _ in begun(one)]
    model = one.job.objective.model
    return losses, {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
