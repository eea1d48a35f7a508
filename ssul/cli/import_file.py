"""Turns a foreign checkpoint into one of ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from ssul.cli.class_names import listed_names
from ssul.cli.published_checkpoint import import_published, load_published
from ssul.cli.smp_checkpoint import import_smp, load_smp
from ssul.cli.torchvision_checkpoint import import_torchvision, load_torchvision
from ssul.datasets.catalog import find_dataset
from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab


def import_file(
    path: Path,
    groups: tuple[tuple[int, ...], ...],
    class_names: Sequence[str],
    *,
    output_stride: int,
    out: Path,
) -> IncrementalDeepLab:
    """Turns a checkpoint of SSUL's published code into one of ours, and returns the network.

    Args:
        path: the published file.
        groups: the dataset ids that each step up to the checkpoint's learned, in learning order.
        class_names: of the dataset, by id from 1.
        output_stride: 8 or 16; the file does not hold it.
        out: the folder to write; what is there is replaced.

    Raises:
        UserError: if the file is not a published checkpoint of this step; nothing is written then.
    """
    labels = LabelSpace(groups, unknown=True, activation="sigmoid")
    model = import_published(load_published(path), labels.head_sizes, output_stride=output_stride)
    TrainedModel(model, labels, tuple(class_names[class_id - 1] for class_id in labels.classes)).save(out)
    return model


def import_softmax_network(
    path: Path,
    source: Literal["torchvision", "smp"],
    class_names: Sequence[str] | None,
    *,
    output_stride: int,
    out: Path,
) -> tuple[IncrementalDeepLab, list[str]]:
    """Turns a network of a library into a checkpoint of ours: background and classes share one softmax.

    Args:
        path: its state dict.
        source: the library.
        class_names: of channel 1 and up, whose ids are 1 and up; None for VOC's, of a network with 21 channels. Channel
            0 is the background.
        output_stride: 8 or 16; of smp's networks alone, because torchvision's have 8.
        out: the folder to write; what is there is replaced.

    Returns:
        The network, and the names of the tensors that took no part in it.

    Raises:
        UserError: if the file is not such a network, or the names are not those of its channels; nothing is written
            then.
    """
    if source == "torchvision":
        kept, dropped = _split(load_torchvision(path), "aux_classifier.")
        model = import_torchvision(kept)
    else:
        kept, dropped = _split(load_smp(path), "classification_head.")
        model = import_smp(kept, output_stride=output_stride)
    names = _class_names(class_names, model.head_sizes[0])
    labels = LabelSpace((tuple(range(1, 1 + len(names))),), unknown=False, activation="softmax")
    TrainedModel(model, labels, names).save(out)
    return model, dropped


def read_class_names(classes: str | None) -> list[str] | None:
    """The names in `--classes`: a file with one a line, or a list between commas.

    Raises:
        UserError: if the file cannot be read, or a name is empty or there twice.
    """
    if classes is None:
        return None
    names = listed_names(classes)
    if not all(name and name.isprintable() for name in names) or len(set(names)) < len(names):
        raise UserError(
            "--classes must hold different names, none of them empty: between commas, or a file with one a line"
        )
    return names


def _split(state: Mapping[str, Tensor], beside: str) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a network, and the names of those of a part that takes no part in the prediction of pixels."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(beside)}
    return kept, [name for name in state if name not in kept]


def _class_names(given: Sequence[str] | None, channels: int) -> tuple[str, ...]:
    voc = find_dataset("voc").classes
    if given is None and channels != 1 + len(voc):
        raise UserError(
            f"the network has {channels} channels: name with --classes those of all but the first, which is the "
            "background"
        )
    names = tuple(voc if given is None else given)
    if len(names) != channels - 1 or not 0 < len(names) < VOID:
        raise UserError(
            f"--classes names {len(names)} classes, but the network has {channels} channels: the background, then one "
            "for each class"
        )
    return names
