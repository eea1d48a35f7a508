"""Distillation of logits that several methods share."""

from torch import Tensor


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
