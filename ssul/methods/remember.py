"""What a method keeps of the past beside exemplars: made after each step, used in the next (STAR's prototypes).

A method that keeps something has a `remember.py` with `remember(past: PastStep) -> dict[str, Tensor]`, and its
`prepare_increment` takes the result as `kept`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ssul.config.method import method_module
from ssul.config.paths import Layout, data_root
from ssul.config.schema import Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.data.loader import loader_workers, training_loader
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.inference.trained_model import TrainedModel
from ssul.io.atomic import replace_file
from ssul.model.checkpoint import load_tensors, read_outputs, save_tensors
from ssul.scenario.splits import Split
from ssul.training.job import augmentation_of
from ssul.training.loop import iteration_count
from ssul.training.objective import Batch

BATCH = 16
"""Images at once; with a network in evaluation mode it decides nothing but speed."""


@dataclass(frozen=True)
class PastStep:
    """A step that has just been learned.

    Attributes:
        trained: the network after it, in evaluation mode, on the device of the batches.
        split: its classes and images.
        setting: overlapped, disjoint or partitioned.
        kept: what was kept for it; nothing for the base step.
        outputs: what its training left beside the weights, see `Objective.outputs`; nothing of the base step.
        batches: one pass over its images with their targets, augmented as in training; may be iterated several times.
    """

    trained: TrainedModel
    split: Split
    setting: str
    kept: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    batches: Iterable[Batch]


@dataclass(frozen=True)
class Remembered:
    """What a method keeps for a step, by name."""

    tensors: Mapping[str, Tensor]

    def write(self, path: Path) -> None:
        """Writes them, data/memory/step_K.safetensors."""
        with replace_file(path) as temporary:
            save_tensors(temporary, self.tensors)


def remembered(params: Params, step: int, layout: Layout, show: Callable[..., Iterable[Any]]) -> Remembered:
    """What the method keeps for a step.

    Args:
        params: all parameters.
        step: from 1.
        layout: where index, splits, checkpoints and what was kept before are.
        show: passes items on under a progress bar.

    Raises:
        UserError: if the step before has no image.
    """
    past, fabric = step - 1, choose_device(params.recipe.precision)
    split, folder = Split.read(layout.split(past)), layout.checkpoint(past)
    if not split.images:
        raise UserError(
            f"{params.method.name} keeps something of the images of step {past}, which has none: give data that show "
            "its classes, or choose a method that keeps nothing, such as -S method=dkd"
        )
    trained = TrainedModel.load(folder).require_groups(split.groups)
    trained.model.to(fabric.device)
    batches = _Batches(params, split, trained, layout, show, fabric.to_device)
    outputs = read_outputs(folder) if past else {}
    seen = PastStep(trained, split, params.setting, load_tensors(layout.kept(past)), outputs, batches)
    return Remembered(method_module(params.method.name, "remember").remember(seen))


class _Batches:
    """The batches of `PastStep`, under a progress bar."""

    def __init__(
        self,
        params: Params,
        split: Split,
        trained: TrainedModel,
        layout: Layout,
        show: Callable[..., Iterable[Any]],
        to_device: Callable[[Any], Any],
    ) -> None:
        index, root = ImageIndex.read(layout.index("train")), data_root(params.data.root, layout)
        new = tuple(TrainingItem(image_id, split.new) for image_id in split.images)
        self.iterations = iteration_count(len(new), epochs=1, batch=BATCH)
        self.normalisation = trained.model.normalisation
        self.title, self.show, self.to_device = f"what step {split.step} leaves", show, to_device
        self.loader = training_loader(
            SampleOrder(new, (), BATCH, params.seed, split.step),
            SegmentationDataset.of(index, root, saliency=params.data.saliency == "maps"),
            trained.labels,
            augmentation_of(params),
            iterations=self.iterations,
            workers=loader_workers(1),
        )

    def __iter__(self) -> Iterator[Batch]:
        for images, target in self.show(self.loader, total=self.iterations, title=self.title, unit="batch"):
            yield self.normalisation.network_input(self.to_device(images)), self.to_device(target)
