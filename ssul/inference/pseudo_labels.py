"""Pseudo-labels from the low-resolution logits of the network after the previous step."""

import torch
from torch import Tensor

from ssul.labels.scores import add_pseudo_labels, candidate_channels
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import upsample


def add_pseudo_labels_low_res(
    old: LabelSpace, target: Tensor, old_logits: Tensor, threshold: float, *, align_corners: bool = False
) -> Tensor:
    """`add_pseudo_labels` of the logits at the target's resolution, without holding all of them.

    An upsampled value lies between the values that it is interpolated from. So with sigmoids a channel that does not
    reach the threshold at low resolution does not reach it after upsampling either, and needs no upsampling. Few
    channels are left, however many classes were learned. A softmax couples all channels.

    Args:
        old: the label space of the previous step.
        target: uint8 (B, H, W), from `LabelSpace.encode` of the later step.
        old_logits: float (B, K, h, w), K = old.num_channels, at the resolution of the features.
        threshold: see `ssul.labels.scores.pseudo_labels`.
        align_corners: see `IncrementalDeepLab.upsample`.

    Returns:
        uint8 (B, H, W).
    """
    candidates = candidate_channels(old, old_logits, threshold).cpu()  # the only wait for the device
    completed = []
    for index, channels in enumerate(candidates):
        one, logits = target[index : index + 1], old_logits[index : index + 1]
        if not channels[old.first_class_channel :].any():
            completed.append(one)
            continue
        chosen = None if channels.all() else channels.nonzero()[:, 0].to(target.device)
        wide = upsample(logits if chosen is None else logits[:, chosen], one, align_corners=align_corners)
        completed.append(add_pseudo_labels(old, one, wide, threshold, chosen))
    return torch.cat(completed)
