"""Pixel losses over integer targets, without void pixels; for a shared batch see `ssul.training.shared_batch`."""

import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.training.shared_batch import valid_count


def binary_cross_entropy(logits: Tensor, target: Tensor, channels: Tensor | None = None) -> Tensor:
    """Per-channel binary cross-entropy, summed over channels, averaged over valid pixels (SSUL, equation 1).

    BCE-with-logits against a one-hot target is softplus(z) summed over channels, minus the logit of the target's
    channel; so no one-hot tensor is needed.

    Args:
        logits: float (B, K, H, W).
        target: uint8 (B, H, W), channels or VOID.
        channels: int64 (K,): the channel of each logit, if `logits` holds only some channels (the others do not learn
            and would add a constant). None if it holds all.

    Returns:
        A scalar; 0 if no pixel is valid.
    """
    valid = target != VOID
    count = valid_count(valid)
    positions = target.long()
    if channels is not None:
        table = torch.full((256,), VOID, dtype=torch.long, device=target.device)
        table[channels] = torch.arange(len(channels), device=target.device)
        positions = table[positions]
    hit = valid & (positions < logits.shape[1])
    own = logits.gather(1, torch.where(hit, positions, 0)[:, None])[:, 0]
    zero = own.new_zeros(())
    negative = torch.where(valid, functional.softplus(logits).sum(dim=1), zero)
    return (negative.sum() - torch.where(hit, own, zero).sum()) / count


def class_binary_cross_entropy(
    logits: Tensor, target: Tensor, channels: Tensor, positive_weight: float = 1.0
) -> Tensor:
    """Binary cross-entropy of some classes, summed over them, averaged over all pixels (DKD, mBCE).

    Every pixel that is not of a class is a negative of it, void ones too (as in the published codes of DKD and STAR).

    Args:
        logits: float (B, n, H, W), of the classes.
        target: uint8 (B, H, W), channels or VOID.
        channels: int64 (n,), the channel of each logit.
        positive_weight: of the pixels of a class in its own term.

    Returns:
        A scalar.
    """
    table = torch.full((256,), VOID, dtype=torch.long, device=target.device)
    table[channels] = torch.arange(len(channels), device=target.device)
    positions = table[target.long()]
    hit = positions != VOID
    own = logits.gather(1, torch.where(hit, positions, 0)[:, None])[:, 0]
    # -w log s(z) = w (softplus(z) - z), and the sum over all pixels has softplus(z) already
    positive = (positive_weight - 1.0) * functional.softplus(own) - positive_weight * own
    return (functional.softplus(logits).sum() + torch.where(hit, positive, own.new_zeros(())).sum()) / target.numel()


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Softmax cross-entropy, averaged over valid pixels.

    Args:
        logits: float (B, K, H, W).
        target: uint8 (B, H, W), channels or VOID.

    Returns:
        A scalar; 0 if no pixel is valid.
    """
    total = functional.cross_entropy(logits, target.long(), ignore_index=VOID, reduction="sum")
    return total / valid_count(target != VOID)


def focal(logits: Tensor, target: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Focal loss (arXiv 1708.02002): softmax cross-entropy, each pixel weighed by (1 - p)^gamma of its own class.

    Averaged over valid pixels (the published SSUL code has gamma 0 and divides by all pixels).

    Args:
        logits: float (B, K, H, W).
        target: uint8 (B, H, W), channels or VOID.
        gamma: 0 gives cross-entropy.

    Returns:
        A scalar; 0 if no pixel is valid.
    """
    pixels = functional.cross_entropy(logits, target.long(), ignore_index=VOID, reduction="none")
    # for gamma below 1 the gradient of the power is undefined where a pixel is certain
    doubt = (1.0 - torch.exp(-pixels)).clamp(min=torch.finfo(pixels.dtype).eps)
    return (doubt**gamma * pixels).sum() / valid_count(target != VOID)
