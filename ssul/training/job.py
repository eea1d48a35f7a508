"""The training of a step, made from the parameters and the artifacts of earlier stages."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import PIL
import torch
import torchvision
from torch import Tensor

from ssul.config.paths import Layout, data_root
from ssul.config.schema import Optimisation, Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, require_unchanged
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.data.training_set import Augmentation
from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.scenario.splits import Split
from ssul.training.loop import iteration_count
from ssul.training.objective import Objective
from ssul.training.selection import BestWeights, select_weights


@dataclass(frozen=True)
class TrainingJob:
    """Everything that decides the weights after a step.

    Attributes:
        step: index.
        class_names: of the step's new classes.
        known_names: of all classes after the step.
        objective: what is minimised; holds the network.
        method_params: what else decides the objective; its `repr` holds all of it.
        order: the order of the samples.
        iterations: their number.
        dataset: reads the images.
        augmentation: of the images.
        optimisation: the step's part of the recipe.
        views: augmentations of each image, whose features are computed once; None: a new one in each pass.
        precision: 32, bf16 or 16.
        selection: makes what selects the best weights, for a number of iterations; None keeps the last.
        selection_name: `method.selection`.
    """

    step: int
    class_names: tuple[str, ...]
    known_names: tuple[str, ...]
    objective: Objective
    method_params: object
    order: SampleOrder
    iterations: int
    dataset: SegmentationDataset
    augmentation: Augmentation
    optimisation: Optimisation
    views: int | None
    precision: str
    selection: Callable[[int], BestWeights] | None
    selection_name: str

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The optimiser's groups with their initial rates."""
        ratio = self.optimisation.backbone_lr_ratio
        return self.objective.parameter_groups(self.optimisation.lr, backbone_ratio=ratio)

    @property
    def trained_model(self) -> TrainedModel:
        """The network with the meaning of its channels."""
        return TrainedModel(self.objective.model, self.objective.labels, self.known_names)

    def fingerprint(self, files: Mapping[str, str]) -> str:
        """64 hexadecimal digits: equal fingerprints mean equal weights after the training.

        Args:
            files: digests of data and code by name.
        """
        parts = [
            self.method_params,
            self.order,
            self.iterations,
            self.augmentation,
            self.optimisation,
            [(group["name"], group["lr"], group.get("weight_decay")) for group in self.groups],
            self.objective.model.architecture,
            self.objective.labels,
            {module.__name__: module.__version__ for module in (torch, torchvision, PIL)},  # others round differently
            self.precision,
            self.selection_name,
            self.dataset.saliency,
            *sorted(files.items()),
        ]
        return fingerprint(parts, self.objective.state_dict())


def training_job(
    params: Params, split: Split, objective: Objective, *, layout: Layout, memory: Sequence[TrainingItem] = ()
) -> TrainingJob:
    """The training of a step.

    Args:
        params: all parameters.
        split: the step.
        objective: what it minimises.
        layout: where indexes and images are.
        memory: the exemplars.

    Raises:
        UserError: if an image is not as it was indexed, or there is none to select weights on.
    """
    index = ImageIndex.read(layout.index("train"))
    root = data_root(params.data.root, layout)
    dataset = SegmentationDataset.of(index, root, saliency=params.data.saliency == "maps")
    if not split.images:
        raise UserError(f"step {split.step} has no training image: -S scenario=extension takes a checkpoint instead")
    new = tuple(TrainingItem(image_id, split.new) for image_id in split.images)
    wanted = {item.id for item in (*new, *memory)} | set(split.holdout)
    require_unchanged([row for row in index.rows if row.id in wanted], dataset.folders, saliency=dataset.saliency)
    order = sample_order(params, new, tuple(memory), split.step)
    return TrainingJob(
        step=split.step,
        class_names=split.new_names,
        known_names=split.class_names,
        objective=objective,
        method_params=params.method
        if split.step
        else (params.method.loss, params.method.positive_weight, params.method.published_bugs.drop_last),
        order=order,
        iterations=planned_iterations(params, order),
        dataset=dataset,
        augmentation=augmentation_of(params),
        optimisation=_optimisation(params, split.step),
        views=params.recipe.increment.views if split.step else None,
        precision=params.recipe.precision,
        selection=select_weights(params, split, objective.model, objective.labels, layout=layout),
        selection_name=params.method.selection,
    )


def sample_order(
    params: Params, new: tuple[TrainingItem, ...], memory: tuple[TrainingItem, ...], step: int
) -> SampleOrder:
    """The order of a step's samples.

    Args:
        params: all parameters.
        new: the step's images.
        memory: the exemplars.
        step: its number, from 0.
    """
    order = SampleOrder(new, memory, _optimisation(params, step).batch, params.seed, step)
    if not memory:
        return order
    return replace(order, memory_share=params.memory.batch_share, appended=params.memory.placement == "append")


def planned_iterations(params: Params, order: SampleOrder) -> int:
    """The number of iterations of the step that samples are drawn for."""
    return iterations_of(
        order,
        _optimisation(params, order.step).epochs,
        params.memory.epoch if order.memory else "images",
        drop_last=params.method.published_bugs.drop_last,
    )


def _optimisation(params: Params, step: int) -> Optimisation:
    return params.recipe.increment if step else params.recipe.base


def augmentation_of(params: Params) -> Augmentation:
    """How the images of every step are augmented."""
    recipe, padding = params.recipe, params.method.published_bugs.padding
    return Augmentation(recipe.crop, recipe.scale, recipe.augmentation, published_padding=padding)


def iterations_of(order: SampleOrder, epochs: int, epoch: Literal["images", "iterations"], *, drop_last: bool) -> int:
    """The number of iterations of a step.

    Args:
        order: of the samples.
        epochs: passes over the new images.
        epoch: with a memory, whether an epoch shows every new image (and appended exemplar) once (`images`), or has as
            many iterations as without a memory (`iterations`, as published), which show a part of them.
        drop_last: see `iteration_count`.
    """
    images, batch = (order.images, order.new_slots) if epoch == "images" else (order.new, order.batch)
    return iteration_count(len(images), epochs=epochs, batch=batch, drop_last=drop_last)


def fingerprint(parts: Iterable[object], weights: Mapping[str, Tensor]) -> str:
    """The identity of a training: 64 hexadecimal digits that differ if anything differs that it depends on.

    Args:
        parts: everything but the weights, in a fixed order; their `repr` counts.
        weights: the initial weights, by name.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part!r}\n".encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
