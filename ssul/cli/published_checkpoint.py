"""Conversion of checkpoints of SSUL's published code."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ssul.errors import UserError
from ssul.labels.space import LabelSpace
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.torch_files import TorchFileError, all_finite, is_state_dict, read_tensors

_MAX_NAMED = 6
_RESNET_CHILDREN = {
    name: str(position)
    for position, name in enumerate(("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"))
}
_LAYER3_BLOCKS = {6: "resnet50", 23: "resnet101"}
"""The number of blocks in the third layer, and the ResNet that has it."""


def load_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published checkpoint. No code in the file is run: only tensors and plain numbers are read.

    Raises:
        UserError: if it is missing, holds anything else, or lacks `model_state`.
    """
    if not path.is_file():
        raise UserError(f"the checkpoint {path} is not a file")
    try:
        content = read_tensors(path, numpy_numbers=True)
    except TorchFileError as error:
        raise UserError(
            f"the checkpoint {path} cannot be read as tensors alone ({error}): it is cut off, or holds code, which is "
            "not run"
        ) from None
    state = content.get("model_state") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not is_state_dict(state):
        raise UserError(f"the checkpoint {path} holds no model_state: it is not from SSUL's published code")
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        bare = name.removeprefix("module.")
        if bare in found:
            raise UserError(f"the checkpoint {path} is not SSUL's: {bare} is there twice, with module. and without")
        found[bare] = tensor
    if not all_finite(found):
        raise UserError(f"the checkpoint {path} holds weights that are NaN or infinite: its training went wrong")
    return found


def import_file(
    path: Path,
    groups: tuple[tuple[int, ...], ...],
    class_names: Sequence[str],
    *,
    output_stride: int,
    out: Path,
) -> IncrementalDeepLab:
    """Turns a published checkpoint into one of ours, and returns the network.

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
    names = [class_names[class_id - 1] for class_id in labels.classes]
    save_checkpoint(out, model, {"labels": labels.to_dict(), "class_names": names})
    return model


def import_published(
    state: Mapping[str, Tensor], head_sizes: Sequence[int], *, output_stride: int
) -> IncrementalDeepLab:
    """Builds our network from a published one's tensors.

    Args:
        state: as `load_published` returns it.
        head_sizes: channels of each head that the scenario's step must have.
        output_stride: 8 or 16; the tensors do not hold it.

    Raises:
        UserError: if the heads differ, or a tensor is missing, left over, or has another shape.
    """
    found = _head_sizes(state)
    if list(found) != list(head_sizes):
        raise UserError(
            f"the checkpoint's heads have {list(found)} channels, the scenario's step has {list(head_sizes)}: choose "
            "another --scenario or --step (heads are unknown, background, base, then one a step)"
        )
    model = IncrementalDeepLab(_architecture(state, output_stride), head_sizes)
    ours = model.state_dict()
    renamed: dict[str, Tensor] = {}
    left = []
    for name, tensor in state.items():
        our_name = _our_name(name)
        if our_name in ours and our_name not in renamed:
            renamed[our_name] = tensor
        else:
            left.append(name)
    missing = sorted(ours.keys() - renamed.keys())
    if missing or left:
        raise UserError(
            f"the checkpoint does not fit: {len(missing)} tensors are missing{_some(missing)}, {len(left)} are left "
            f"over{_some(sorted(left))}"
        )
    wrong = [
        f"{name} {list(renamed[name].shape)}, not {list(ours[name].shape)}"
        for name in ours
        if renamed[name].shape != ours[name].shape
    ]
    if wrong:
        raise UserError(f"{len(wrong)} tensors of the checkpoint have another shape{_some(wrong)}")
    model.load_state_dict(renamed)
    return model.eval()


def _head_sizes(state: Mapping[str, Tensor]) -> list[int]:
    sizes: dict[int, int] = {}
    for name, tensor in state.items():
        if match := re.fullmatch(r"classifier\.head\.(\d+)\.3\.weight", name):
            sizes[int(match[1])] = tensor.shape[0]
    return [sizes[index] for index in sorted(sizes)]


def _architecture(state: Mapping[str, Tensor], output_stride: int) -> Architecture:
    if any(name.startswith(("backbone.low_level_features.", "backbone.high_level_features.")) for name in state):
        raise UserError(
            "the checkpoint's backbone is the published code's MobileNetV2, which pads before each block's expansion: "
            "torchvision's, which is ours, gives other features from the same weights, so it is not imported"
        )
    blocks = {int(match[1]) for name in state if (match := re.match(r"backbone\.layer3\.(\d+)\.", name))}
    if len(blocks) not in _LAYER3_BLOCKS:
        raise UserError(
            f"the checkpoint's backbone is not a ResNet-50 or ResNet-101: its layer3 has {len(blocks)} blocks"
        )
    return Architecture(
        backbone=_LAYER3_BLOCKS[len(blocks)],
        head="deeplabv3plus" if "classifier.project.0.weight" in state else "deeplabv3",
        output_stride=output_stride,
        width=256,
        separable="classifier.head.0.0.body.0.weight" in state,
    )


def _our_name(name: str) -> str | None:
    """Our name of a published tensor; None if the published code has no such name."""
    parts = name.split(".")
    match parts:
        case ["backbone", child, *rest] if child in _RESNET_CHILDREN:
            return ".".join(["backbone", _RESNET_CHILDREN[child], *rest])
        case ["classifier", "aspp", "convs", "4", place, *rest] if place in ("1", "2"):
            return ".".join(["aspp", "pooled", "1", str(int(place) - 1), *rest])
        case ["classifier", "aspp", "convs", branch, *rest]:
            return ".".join(["aspp", "branches", branch, *_unwrapped(rest)])
        case ["classifier", "aspp", "project", *rest]:
            return ".".join(["aspp", "project", *rest])
        case ["classifier", "project", *rest]:
            return ".".join(["low_level", *rest])
        case ["classifier", "head", head, place, *rest] if place in ("0", "1", "3"):
            ours = {"0": "conv", "1": "norm", "3": "classifier"}[place]
            return ".".join(["heads", head, ours, *_unwrapped(rest)])
    return None


def _unwrapped(parts: Sequence[str]) -> list[str]:
    """The parts without `body`, the published code's name for the two halves of a separable convolution."""
    return [part for part in parts if part != "body"]


def _some(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > _MAX_NAMED else ""
    return f" ({', '.join(names[:_MAX_NAMED])}{more})"
