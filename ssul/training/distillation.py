"""Distillation of logits that several methods share."""

import torch
from torch import Tensor
from torch.nn import functional


def softmax_distillation(logits: Tensor, old_logits: Tensor) -> Tensor:
    """Cross-entropy towards the old network's softmax, the student's being over the old channels alone (LwF).

    Args:
        logits: float (B, K, H, W) of the student.
        old_logits: float (B, K', H, W) of the teacher, the first K' of the K channels.

    Returns:
        A scalar: the mean over all pixels, divided by the number of old channels, background included.
    """
    old = old_logits.shape[1]
    log_probabilities = logits[:, :old].log_softmax(dim=1)
    return -(old_logits.softmax(dim=1) * log_probabilities).sum(dim=1).mean() / old


def sigmoid_distillation(logits: Tensor, old_logits: Tensor) -> Tensor:
    """Binary cross-entropy towards the old network's sigmoids, summed over channels, averaged over all pixels.

    Args:
        logits: float (B, K, H, W) of the student.
        old_logits: float (B, K, H, W) of the teacher.

    Returns:
        A scalar, in single precision at least.
    """
    precise = torch.promote_types(logits.dtype, torch.float32)  # losses sum too many values for bf16
    logits, scores = logits.to(precise), old_logits.to(precise).sigmoid()
    return functional.binary_cross_entropy_with_logits(logits, scores, reduction="none").sum(dim=1).mean()
