"""What the parts of a batch know of it together: those of several processes, and those that one computes in turn.

Each is a part of the loss: the mean of the parts is the loss of the batch, and the mean of their gradients is its
gradient. All functions are collective: every process must call them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from ssul.labels.ids import VOID

_in_turn: tuple[int, Tensor] | None = None
"""In how many parts this process computes its share of the batch, and how many valid pixels that share has."""


def rank_and_size() -> tuple[int, int]:
    """The number of this process, from 0, and how many share the batch."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


@contextmanager
def computed_in_turn(parts: int, target: Tensor) -> Iterator[None]:
    """Lets this process compute its share of a batch in equal parts, one after the other, while the block runs.

    Args:
        parts: their number; 1 changes nothing.
        target: uint8 (B, H, W) of the whole share, channels or VOID.
    """
    global _in_turn
    _in_turn = None if parts == 1 else (parts, (target != VOID).sum())
    try:
        yield
    finally:
        _in_turn = None


def valid_count(valid: Tensor) -> Tensor:
    """The number of valid pixels of the whole batch, at least one, divided by the number of its parts.

    If each part were divided by its own count, pixels would have different weights.

    Args:
        valid: bool, any shape: where the part's target is not VOID.
    """
    if _in_turn is None:
        parts, own = 1, valid.sum()
    else:
        parts, own = _in_turn[0], _in_turn[1].to(valid.device)
    count = _sum(own).clamp(min=1)
    parts *= rank_and_size()[1]
    return count if parts == 1 else count / parts


def batch_sum(part: Tensor) -> Tensor:
    """The sum of a value over all processes, of any shape.

    Its gradient reaches this process's part, multiplied by their number. So the mean over the processes of the gradient
    of any function of the sum is that function's gradient.

    Raises:
        RuntimeError: if parts are computed in turn, because those to come are not known.
    """
    if _in_turn is not None:
        raise RuntimeError("this loss needs the whole batch at once: its method's sums_over_batch must be true")
    return _sum(part)


def _sum(part: Tensor) -> Tensor:
    _, size = rank_and_size()
    if size == 1:
        return part
    total = part.detach().clone()
    distributed.all_reduce(total)
    if not part.requires_grad:
        return total
    return size * part + (total - size * part).detach()


def batch_seed(seed: int, device: torch.device) -> int:
    """The seed of the batch's first sample, which the first process has, in all of them."""
    if rank_and_size()[1] == 1:
        return seed
    shared = torch.tensor(seed, device=device)
    distributed.broadcast(shared, src=0)
    return int(shared)
