"""Torchvision's `deeplabv3_resnet50` and `deeplabv3_resnet101`: the structure of ours with one head."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ssul.cli.strict_mapping import aspp_name, backbone_name, load_renamed, read_state, resnet_in
from ssul.errors import UserError
from ssul.model.deeplab import Architecture, IncrementalDeepLab

_HEAD = {"1": "conv", "2": "norm", "4": "classifier"}


def load_torchvision(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, or of a file of torchvision's training script.

    Raises:
        UserError: see `read_state`.
    """
    return read_state(path, within=["", "model"], prefix="module.", source="torchvision")


def import_torchvision(state: Mapping[str, Tensor]) -> IncrementalDeepLab:
    """Builds our network, of output stride 8 as torchvision's, from its tensors without the auxiliary classifier's.

    Raises:
        UserError: if it is another network: a tensor is missing, left over, or has another shape.
    """
    backbone = resnet_in(state, "backbone")
    last = state.get("classifier.4.weight")
    if last is None:
        raise UserError("the checkpoint is no DeepLabV3 of torchvision: it has no classifier.4.weight")
    model = IncrementalDeepLab(Architecture(backbone, "deeplabv3", output_stride=8, width=256), [last.shape[0]])
    return load_renamed(model, state, _our_name)


def _our_name(name: str) -> str | None:
    match name.split("."):
        case ["backbone", *rest] if rest:
            return backbone_name(rest)
        case ["classifier", "0", *rest]:
            return aspp_name(rest)
        case ["classifier", place, *rest] if place in _HEAD:
            return ".".join(["heads", "0", _HEAD[place], *rest])
    return None
