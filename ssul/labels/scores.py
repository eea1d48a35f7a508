"""Logits to pseudo-labels, class scores and predictions: pure functions of a label space and of logits."""

import math

import torch
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace

_ROUNDING = 1e-3
"""An interpolated logit may exceed the logits around it by rounding, but by less than this."""


def candidate_channels(labels: LabelSpace, logits: Tensor, threshold: float) -> Tensor:
    """The channels that may decide a pseudo-label, for each image.

    With a softmax these are all channels, because it couples them.

    Args:
        labels: the meaning of the channels.
        logits: float (B, K, h, w) with K = labels.num_channels, at any resolution from which scores are interpolated.
        threshold: a score in 0..1, see `pseudo_labels`.

    Returns:
        bool (B, K).
    """
    if labels.activation == "softmax":
        return torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
    return logits.amax(dim=(2, 3)) >= _logit(threshold) - _ROUNDING


def pseudo_labels(labels: LabelSpace, logits: Tensor, threshold: float, channels: Tensor | None = None) -> Tensor:
    """The arg-max class of each pixel where its score reaches the threshold.

    Args:
        labels: the meaning of the channels.
        logits: float (B, K, H, W) with K = labels.num_channels.
        threshold: a score in 0..1 (tau of the SSUL paper, 0.7). With sigmoids it is compared on the logits.
        channels: int64 (K,), the channel of each logit if `logits` holds only the candidate channels.

    Returns:
        uint8 (B, H, W): class channels, VOID where the network is not sure or the best channel is not a class. An
        auxiliary class does not compete.
    """
    if labels.first_scored_channel:
        channels = torch.arange(logits.shape[1], device=logits.device) if channels is None else channels
        scored = channels >= labels.first_scored_channel
        channels, logits = channels[scored], logits[:, scored]
    if labels.activation == "sigmoid":
        best, channel = logits.max(dim=1)
        sure = best >= _logit(threshold)
    else:
        best, channel = logits.softmax(dim=1).max(dim=1)
        sure = best >= threshold
    if channels is not None:
        channel = channels[channel]
    known = sure & (channel >= labels.first_class_channel)
    return torch.where(known, channel, VOID).to(torch.uint8)


def add_pseudo_labels(
    old: LabelSpace, target: Tensor, old_logits: Tensor, threshold: float, channels: Tensor | None = None
) -> Tensor:
    """Fills a later step's target with the old network's pseudo-labels (SSUL, equation 3).

    Annotated and void pixels stay. Unknown and background pixels take the old network's class where it is sure. Old
    channels keep their numbers when a network grows, so that both label spaces agree on them.

    Args:
        old: the meaning of the old network's channels.
        target: uint8 (B, H, W), made by `LabelSpace.encode` of the later step.
        old_logits: float (B, K, H, W) of the old network, K = old.num_channels.
        threshold, channels: see `pseudo_labels`.

    Returns:
        uint8 (B, H, W).
    """
    labels = pseudo_labels(old, old_logits, threshold, channels)
    return torch.where((target <= old.background_channel) & (labels != VOID), labels, target)


def fold_unknown(labels: LabelSpace, logits: Tensor) -> Tensor:
    """Scores of [background, classes...]: the unknown's score counts as background (SSUL, section 3.4).

    Beside a constant background the unknown is auxiliary and does not count.

    Args:
        labels: the meaning of the channels.
        logits: float (B, labels.num_channels, H, W), or of n of the classes: (B, labels.first_class_channel + n, H, W).

    Returns:
        float (B, labels.num_classes, H, W), or (B, 1 + n, H, W). The sum of the sigmoid scores of background and
        unknown is at most 2.
    """
    scores = logits.sigmoid() if labels.activation == "sigmoid" else logits.softmax(dim=1)
    if not labels.unknown or labels.constant_background:
        return scores[:, labels.first_scored_channel :]
    return torch.cat([scores[:, :1] + scores[:, 1:2], scores[:, 2:]], dim=1)


def predict(labels: LabelSpace, logits: Tensor, *, background: bool = True) -> Tensor:
    """The predicted class index of each pixel.

    Args:
        labels: the meaning of the channels.
        logits: float (B, labels.num_channels, H, W).
        background: whether (unknown and) background are predicted; else each pixel gets the best class.

    Returns:
        uint8 (B, H, W).
    """
    first = labels.first_class_channel
    best, position = logits[:, first:].max(dim=1)
    if not background:
        return (position + 1).to(torch.uint8)
    return argmax_with_background(labels, logits[:, :first], best, position + 1)


def argmax_with_background(labels: LabelSpace, front: Tensor, best: Tensor, class_index: Tensor) -> Tensor:
    """The end of a prediction: the best class, or the background where its score is at least as high.

    The order of the classes is the order of their logits. So only the best class needs a score, whatever the number of
    classes. A softmax needs only these few channels too, because its denominator is common to all.

    Args:
        labels: the meaning of the channels.
        front: float (B, labels.first_class_channel, H, W), the logits of (unknown and) background.
        best: float (B, H, W), the greatest logit of a class.
        class_index: integers (B, H, W), the class index of that class.

    Returns:
        uint8 (B, H, W): class indices.
    """
    if labels.unknown and not labels.constant_background:
        scores = fold_unknown(labels, torch.cat([front, best[:, None]], dim=1))
        is_background = scores[:, 0] >= scores[:, 1]
    else:
        is_background = front[:, labels.background_channel] >= best
    return class_index.to(torch.uint8).masked_fill(is_background, 0)


def _logit(score: float) -> float:
    if score <= 0.0:
        return -math.inf
    return math.inf if score >= 1.0 else math.log(score / (1.0 - score))
