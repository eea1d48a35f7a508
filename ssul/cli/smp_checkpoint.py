"""DeepLabV3 and DeepLabV3Plus of segmentation_models.pytorch over ResNet-50, ResNet-101 and MobileNetV2.

They differ from ours in what `Architecture.variant` says.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ssul.cli.strict_mapping import aspp_name, backbone_name, load_renamed, read_state, resnet_in
from ssul.errors import UserError
from ssul.model.deeplab import LOW_LEVEL_WIDTH, Architecture, IncrementalDeepLab

_FORMERLY = {"decoder.0.": "decoder.aspp.", "decoder.1.": "decoder.conv.", "decoder.2.": "decoder.bn."}
"""Names of DeepLabV3 in earlier versions, and the present ones."""


def load_smp(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, or of Lightning's checkpoint of a module that holds the network as `model`.

    Raises:
        UserError: see `read_state`.
    """
    found = read_state(path, within=["", "state_dict"], prefix="model.", source="segmentation_models.pytorch")
    return {_present_name(name): tensor for name, tensor in found.items()}


def import_smp(state: Mapping[str, Tensor], *, output_stride: int) -> IncrementalDeepLab:
    """Builds our network from the tensors without those of the classifier of whole images.

    Args:
        state: as `load_smp` returns it.
        output_stride: 8 or 16; the tensors do not hold it. Nor do they hold the ASPP's rates, which are taken to be
            the library's default.

    Raises:
        UserError: if it is another network: a tensor is missing, left over, or has another shape.
    """
    mobile = any(name.startswith("encoder.features.") for name in state)
    backbone = "mobilenet_v2" if mobile else resnet_in(state, "encoder")
    last, project = state.get("segmentation_head.0.weight"), state.get("decoder.block2.0.1.weight")
    if last is None:
        raise UserError("the checkpoint is no network of smp: it has no segmentation_head.0.weight")
    plus = project is not None
    separable = f"decoder.aspp{'.0' if plus else ''}.convs.1.0.0.weight" in state
    if separable != plus:
        raise UserError(
            f"the checkpoint's ASPP has {'' if separable else 'no '}separable convolutions, the part before its "
            f"classifier has {'' if plus else 'none'}: they must agree, as by default (decoder_aspp_separable)"
        )
    architecture = Architecture(
        backbone,
        "deeplabv3plus" if plus else "deeplabv3",
        output_stride=output_stride,
        width=last.shape[1],
        separable=separable,
        variant="smp",
    )
    model = IncrementalDeepLab(architecture, [last.shape[0]])
    return load_renamed(model, _reordered(state) if plus else state, _plus_name if plus else _v3_name)


def _reordered(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same with the head's input in our order: early features first."""
    changed = dict(state)
    for name, axis in (("decoder.block2.0.0.weight", 0), ("decoder.block2.0.1.weight", 1)):
        if name in changed and changed[name].ndim == 4:
            tensor = changed[name]
            changed[name] = torch.roll(tensor, min(LOW_LEVEL_WIDTH, tensor.shape[axis]), dims=axis)
    return changed


def _present_name(name: str) -> str:
    for former, present in _FORMERLY.items():
        if name.startswith(former):
            return present + name.removeprefix(former)
    return name


def _v3_name(name: str) -> str | None:
    match name.split("."):
        case ["encoder", "features", *rest]:
            return ".".join(["backbone", *rest])
        case ["encoder", *rest] if rest:
            return backbone_name(rest)
        case ["decoder", "aspp", *rest]:
            return aspp_name(rest)
        case ["decoder", "conv", *rest]:
            return ".".join(["heads", "0", "conv", *rest])
        case ["decoder", "bn", *rest]:
            return ".".join(["heads", "0", "norm", *rest])
        case ["segmentation_head", "0", *rest]:
            return ".".join(["heads", "0", "classifier", *rest])
    return None


def _plus_name(name: str) -> str | None:
    match name.split("."):
        case ["decoder", "aspp", "0", *rest]:
            inner = aspp_name(rest)
            return inner and inner.replace("aspp.", "aspp.0.", 1)
        case ["decoder", "aspp", *rest]:
            return ".".join(["aspp", *rest])
        case ["decoder", "block1", *rest]:
            return ".".join(["low_level", *rest])
        case ["decoder", "block2", place, *rest] if place in ("0", "1"):
            return ".".join(["heads", "0", ("conv", "norm")[int(place)], *rest])
        case ["decoder", *_]:
            return None
    return _v3_name(name)
