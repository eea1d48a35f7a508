"""The pipeline's scores of any checkpoint on a dataset, outside the pipeline."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ssul.data.dataset import SegmentationDataset
from ssul.data.index import not_shown
from ssul.data.layout import ImagePaths
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.scan import ImageProblem, raise_unusable, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.split_ids import split_ids
from ssul.errors import UserError
from ssul.evaluation.evaluate import EvaluatedImage, evaluate_images, sum_confusion
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.scores import Scores, score
from ssul.inference.trained_model import TrainedModel
from ssul.labels.space import LabelSpace
from ssul.model.heads import Head

Watch = Callable[[Iterator[EvaluatedImage], int], Iterator[EvaluatedImage]]
"""Passes evaluated images on; it also gets their number, as a progress bar needs it."""


def evaluate_checkpoint(
    folder: Path, data_set: DatasetSpec, root: Path, *, protocol: Protocol, watch: Watch, shift: float = 0.0
) -> Scores:
    """Scores a checkpoint on the validation images of a dataset.

    Args:
        folder: the checkpoint.
        data_set: the dataset, which has at least one of its classes.
        root: the data root.
        protocol: see `Protocol`.
        watch: passes every evaluated image on.
        shift: see `shift_new_heads`.

    Returns:
        The pipeline's scores of this step; forgetting and average are None, because they need the steps before. The
        classes of network and dataset are matched by name. Those that the dataset lacks have no IoU, nor those that it
        knows from the network that it extends and that no mask shows.

    Raises:
        UserError: if the checkpoint cannot be opened or learned none of the classes, or if an image cannot be used or
            none is scored.
    """
    trained = TrainedModel.load(folder)
    shift_new_heads(trained, shift)
    names = trained.class_names
    foreign = [name for name in names if name not in data_set.classes]
    if len(foreign) == len(names):
        raise UserError(
            f"the checkpoint {folder} knows {', '.join(names)}, and none of them is a class of {data_set.name}: "
            "name the dataset that it learned with --data-set"
        )
    labels = _in_ids_of(data_set, trained, foreign)
    val = ImagePaths(root, data_set.val)
    _, ids = split_ids(ImagePaths(root, data_set.train), val, val_share=data_set.val_share, val_seed=data_set.val_seed)
    present = _present(val, ids, data_set)
    unscored = (*foreign, *not_shown(data_set.classes[: data_set.known], present.values()))
    ids = protocol.scored(present, labels)
    dataset = SegmentationDataset.of_files(val, data_set.values, len(data_set.classes))
    in_data, classes = data_set.values.background, len(data_set.classes) + len(foreign)
    background = protocol.background(labels, in_data=in_data, classes=classes)
    images = evaluate_images(trained.model, labels, dataset, ids, protocol=protocol, background=background)
    sizes, rows = [len(group) for group in labels.groups], background.names(names)
    counts = sum_confusion(watch(images, len(ids)), len(rows))
    scores = score(counts, sizes, rows, (), background=background, unscored=unscored)
    return replace(scores, average=None)


def shift_new_heads(trained: TrainedModel, shift: float) -> None:
    """Adds a number to the logits of all classes that were learned after step 0, by the biases of their heads.

    A diagnosis of what is forgotten: if a negative shift brings `old` back, the network still knows the old classes,
    and the new heads are too sure of themselves.
    """
    later = len(trained.labels.groups) - 1
    with torch.no_grad():
        for head in list(trained.model.heads)[len(trained.model.heads) - later :]:
            assert isinstance(head, Head)
            assert head.classifier.bias is not None
            head.classifier.bias += shift


def _in_ids_of(data_set: DatasetSpec, trained: TrainedModel, foreign: Sequence[str]) -> LabelSpace:
    """The label space of a network in a dataset's ids; the classes that the dataset lacks have ids after its own."""
    ids = {name: class_id for class_id, name in enumerate([*data_set.classes, *foreign], start=1)}
    renamed = {class_id: ids[name] for class_id, name in zip(trained.labels.classes, trained.class_names, strict=True)}
    groups = tuple(tuple(renamed[class_id] for class_id in group) for group in trained.labels.groups)
    return replace(trained.labels, groups=groups)


def _present(folders: ImagePaths, ids: Sequence[str], data_set: DatasetSpec) -> dict[str, tuple[int, ...]]:
    """The classes that each image shows; all are scanned first, because no score shows an invalid mask value."""
    found = list(
        scan_images(
            folders, ids, classes=len(data_set.classes), values=data_set.values, saliency=False, cache=ScanCache(None)
        )
    )
    problems = [one for one in found if isinstance(one, ImageProblem)]
    if problems:
        raise_unusable(
            problems, of=len(ids), where=folders.root, way_out="Mend the files, or take the ids out of the image list"
        )
    return {one.id: one.present for one in found if not isinstance(one, ImageProblem)}
