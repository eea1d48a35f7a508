"""Predictions at image resolution from low-resolution logits, without holding all scores at that size."""

from collections.abc import Callable

import torch
from torch import Tensor

from ssul.labels.scores import argmax_with_background
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import upsample

_AT_ONCE_ON_CPU, _AT_ONCE = 8, 32
"""How many classes are up-sampled together: on a CPU what its caches hold, elsewhere what keeps a device busy."""
_ROUNDING = 16
"""Units in the last place by which an interpolated value may lie outside the four that it is made of; some to spare."""


def predict(labels: LabelSpace, low_res: Tensor, images: Tensor) -> Tensor:
    """`ssul.labels.scores.predict` of the upsampled logits; classes are upsampled a few at a time.

    Args:
        labels: the meaning of the channels.
        low_res: float (B, K, h, w), logits at any resolution, K = labels.num_channels.
        images: (B, 3, H, W), of the size that is wanted.

    Returns:
        uint8 (B, H, W): class indices.
    """
    first = labels.first_class_channel
    low_res = low_res.float().contiguous()  # not channels last: a channel is looked at alone
    front = upsample(low_res[:, :first], images)
    best = torch.full_like(front[:, 0], -torch.inf)
    rank = torch.zeros_like(best, dtype=torch.uint8)  # of the class that is best so far, among those that can win
    channels = possible_winners(low_res)
    channels = channels[channels >= first]
    chunk = _AT_ONCE_ON_CPU if low_res.device.type == "cpu" else _AT_ONCE
    for start in range(0, len(channels), chunk):
        highest, which = upsample(low_res[:, channels[start : start + chunk]], images).max(dim=1)
        better = highest > best  # strictly: of equals the first is taken, as by arg-max
        rank = torch.where(better, which.to(torch.uint8) + start, rank)
        best = torch.maximum(best, highest)
    positions = torch.zeros(256, dtype=torch.uint8, device=low_res.device)
    positions[: len(channels)] = (channels + (1 - first)).to(torch.uint8)
    return argmax_with_background(labels, front, best, positions[rank.int()])


def possible_winners(low_res: Tensor) -> Tensor:
    """The channels whose up-sampled logit can be the greatest of all somewhere; the others need no up-sampling.

    A bilinear value lies between the least and the greatest of the four values around it. So a channel that stays
    everywhere below what some other channel reaches at least can win nowhere. On photographs that leaves a few of many
    classes, and costs a look at the low-resolution logits.

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
    """What is chosen of the four corners of each cell: (B, K, h, w) -> (B, K, h-1, w-1), but no side below 1."""
    across = choose(low_res[..., 1:], low_res[..., :-1]) if low_res.shape[-1] > 1 else low_res
    return choose(across[..., 1:, :], across[..., :-1, :]) if across.shape[-2] > 1 else across
