"""What several processes that share a batch know of it together.

Each computes its part of the loss: the mean of the parts is the loss of the batch, and the mean of their gradients,
which the engine computes, is its gradient. All functions are collective: every process must call them.
"""

import torch
from torch import Tensor, distributed


def rank_and_size() -> tuple[int, int]:
    """The number of this process, from 0, and how many share the batch."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def batch_sum(part: Tensor) -> Tensor:
    """The sum of a value over all processes, of any shape.

    Its gradient reaches this process's part, multiplied by their number. So the mean over the processes of the gradient
    of any function of the sum is that function's gradient.
    """
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
