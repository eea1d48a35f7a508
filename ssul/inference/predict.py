"""Predictions at image resolution from low-resolution logits, without holding all scores at that size."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.data.dataset import LabeledImage
from ssul.labels.scores import argmax_with_background
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab, upsample

_AT_ONCE_ON_CPU, _AT_ONCE = 8, 32
"""The number of classes that are upsampled together: on a CPU to fit its caches, elsewhere to keep the device busy."""
_ROUNDING = 16
"""Units in the last place by which an interpolated value may lie outside the four around it; generous."""


class LowResLogits(NamedTuple):
    """The logits of one image.

    Attributes:
        image: the image, on the CPU.
        inputs: float (1, 3, H, W), the network's input; on the network's device.
        low_res: float (1, K, h, w), its output at the resolution of the features; likewise.
    """

    image: LabeledImage
    inputs: Tensor
    low_res: Tensor


def setup_for_inference(model: IncrementalDeepLab, fabric: Fabric) -> Any:
    """Moves a network to a device, in evaluation mode and in the memory layout of fast convolutions.

    Returns:
        The network in Fabric's wrapper, which computes in the precision of `fabric`.
    """
    network = fabric.setup_module(model.to(memory_format=torch.channels_last)).eval()  # type: ignore[call-overload]
    network.mark_forward_method("forward_low_res")
    return network


def predict_images(network: Any, images: Iterable[LabeledImage], device: torch.device) -> Iterator[LowResLogits]:
    """Runs a network on images, one after the other.

    Args:
        network: an `IncrementalDeepLab` in evaluation mode, or Fabric's wrapper of one.
        images: read as they are needed.
        device: the network's.
    """
    for image in images:
        with torch.inference_mode():
            inputs = network.normalisation.network_input(image.image[None].to(device))
            low_res = network.forward_low_res(inputs)
        yield LowResLogits(image, inputs, low_res)


def predict(
    labels: LabelSpace, low_res: Tensor, images: Tensor, *, background: bool = True, align_corners: bool = False
) -> Tensor:
    """`ssul.labels.scores.predict` of the upsampled logits; classes are upsampled a few at a time.

    Args:
        labels: the meaning of the channels.
        low_res: float (B, K, h, w), logits at any resolution, K = labels.num_channels.
        images: (B, 3, H, W); only their size counts.
        background: whether (unknown and) background are predicted; else each pixel gets the best class.
        align_corners: see `IncrementalDeepLab.upsample`.

    Returns:
        uint8 (B, H, W): class indices.
    """
    first = labels.first_class_channel
    low_res = low_res.float().contiguous()  # not channels last, because single channels are read
    rivals = labels.first_scored_channel if background else first  # the first channel that can win
    channels = possible_winners(low_res[:, rivals:]) + rivals
    wide = partial(upsample, images=images, align_corners=align_corners)
    best, class_index = _best_class(low_res, images, channels[channels >= first], first, wide)
    if not background:
        return class_index
    return argmax_with_background(labels, wide(low_res[:, :first]), best, class_index)


def _best_class(
    low_res: Tensor, images: Tensor, channels: Tensor, first: int, wide: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """The greatest logit of some class channels at the size of the images, and its class.

    Args:
        low_res: float (B, K, h, w).
        images: (B, 3, H, W).
        channels: int64 (n,), ascending; may be empty.
        first: the first class channel.
        wide: upsamples logits to the size of the images.

    Returns:
        float (B, H, W), -infinity without channels; uint8 (B, H, W), class indices.
    """
    best = low_res.new_full((len(low_res), *images.shape[-2:]), -torch.inf)
    rank = torch.zeros_like(best, dtype=torch.uint8)  # of the best class so far, among the channels
    chunk = _AT_ONCE_ON_CPU if low_res.device.type == "cpu" else _AT_ONCE
    for start in range(0, len(channels), chunk):
        highest, which = wide(low_res[:, channels[start : start + chunk]]).max(dim=1)
        better = highest > best  # strictly, because arg-max takes the first of equals
        rank = torch.where(better, which.to(torch.uint8) + start, rank)
        best = torch.maximum(best, highest)
    class_indices = torch.zeros(256, dtype=torch.uint8, device=low_res.device)
    class_indices[: len(channels)] = (channels + (1 - first)).to(torch.uint8)
    return best, class_indices[rank.int()]


def possible_winners(low_res: Tensor) -> Tensor:
    """The channels whose upsampled logit can be the greatest of all somewhere; the others need no upsampling.

    A bilinear value lies between the least and the greatest of the four values around it. So a channel cannot win in a
    cell where its greatest value is below the least value of another channel. On photographs few of many classes are
    left, at the cost of one pass over the low-resolution logits.

    Args:
        low_res: float (B, K, h, w).

    Returns:
        int64 (n,), ascending, n >= 1.
    """
    most, least = _of_cells(low_res, torch.maximum), _of_cells(low_res, torch.minimum)
    margin = _ROUNDING * torch.finfo(low_res.dtype).eps * low_res.abs().amax()
    hopeless = most < least.amax(dim=1, keepdim=True) - margin
    return (~hopeless).flatten(2).any(dim=2).any(dim=0).nonzero()[:, 0]


def _of_cells(low_res: Tensor, choose: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The chosen value of the four corners of each cell: (B, K, h, w) -> (B, K, h-1, w-1), but no side below 1."""
    across = choose(low_res[..., 1:], low_res[..., :-1]) if low_res.shape[-1] > 1 else low_res
    return choose(across[..., 1:, :], across[..., :-1, :]) if across.shape[-2] > 1 else across
