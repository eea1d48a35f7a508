"""Features of old classes, drawn anew in each iteration."""

import torch
from torch import Tensor

from ssul.methods.star.kept import Kept
from ssul.model.seeded import SeededModule
from ssul.training.shared_batch import batch_seed, rank_and_size


class Replay(SeededModule):
    """Draws features around the prototypes of the old classes.

    Attributes:
        numbers: int64 (n,) on the CPU, how many features of each class a batch gets; to be set before the training.
    """

    prototypes: Tensor
    spread: Tensor
    length_mean: Tensor
    length_std: Tensor

    def __init__(self, kept: Kept) -> None:
        """Takes what is kept of the old classes."""
        super().__init__()
        for name in ("prototypes", "spread", "length_mean", "length_std"):
            self.register_buffer(name, getattr(kept, name), persistent=False)
        self.numbers = torch.zeros_like(kept.counts)

    def forward(self) -> Tensor:
        """This process's share of the features of a batch, float (n, C).

        A feature is (prototype + spread * e) * (mean length + its deviation * e'), where e and e' are standard normal
        and independent in every channel, as in the published code. (By the paper's idea e' is one number a feature.)

        All processes draw the same features, from the seed of the batch's first sample, and each takes every nth.
        """
        device = self.prototypes.device
        classes = torch.arange(len(self.numbers)).repeat_interleave(self.numbers).to(device)
        generator = None
        if self.seeds is not None:
            generator = torch.Generator(device).manual_seed(batch_seed(self.seeds[0], device))
        kind, size = self.prototypes.dtype, (len(classes), self.prototypes.shape[1])
        around, along = (torch.randn(size, generator=generator, dtype=kind, device=device) for _ in range(2))
        direction = self.prototypes[classes] + self.spread[classes] * around
        drawn = direction * (self.length_mean[classes, None] + self.length_std[classes, None] * along)
        rank, processes = rank_and_size()
        return drawn[rank::processes]
