"""Checkpoints of SSUL's published code."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ssul.cli.strict_mapping import aspp_name, backbone_name, load_renamed, read_state, resnet_in
from ssul.errors import UserError
from ssul.model.deeplab import Architecture, IncrementalDeepLab


def load_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published checkpoint.

    Raises:
        UserError: see `read_state`.
    """
    return read_state(path, within=["model_state"], prefix="module.", source="SSUL's published code")


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
    return load_renamed(IncrementalDeepLab(_architecture(state, output_stride), head_sizes), state, _our_name)


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
    return Architecture(
        backbone=resnet_in(state, "backbone"),
        head="deeplabv3plus" if "classifier.project.0.weight" in state else "deeplabv3",
        output_stride=output_stride,
        width=256,
        separable="classifier.head.0.0.body.0.weight" in state,
    )


def _our_name(name: str) -> str | None:
    """Our name of a published tensor; None if the published code has no such name."""
    parts = name.split(".")
    match parts:
        case ["backbone", *rest] if rest:
            return backbone_name(rest)
        case ["classifier", "aspp", *rest]:
            return aspp_name(_unwrapped(rest))
        case ["classifier", "project", *rest]:
            return ".".join(["low_level", *rest])
        case ["classifier", "head", head, place, *rest] if place in ("0", "1", "3"):
            ours = {"0": "conv", "1": "norm", "3": "classifier"}[place]
            return ".".join(["heads", head, ours, *_unwrapped(rest)])
    return None


def _unwrapped(parts: Sequence[str]) -> list[str]:
    """The parts without `body`, the published code's name for the two halves of a separable convolution."""
    return [part for part in parts if part != "body"]
