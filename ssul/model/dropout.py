"""Dropout that depends on the sample and on nothing else."""

import torch
from torch import Tensor
from torch.nn import functional

from ssul.model.seeded import SeededModule


class SampleDropout(SeededModule):
    """Dropout in which every sample of a batch may have a seed of its own, and then drops the same in every process.

    Attributes:
        p: the fraction of values that are dropped.
    """

    def __init__(self, p: float) -> None:
        """Takes the fraction in 0..1."""
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, values dropped and the others scaled by 1 / (1 - p); unchanged in evaluation.

        Raises:
            ValueError: if there are not as many seeds as samples.
        """
        if not self.training or self.p == 0.0:
            return x
        if self.seeds is None:
            return functional.dropout(x, self.p)
        if len(self.seeds) != len(x):
            raise ValueError(f"{len(self.seeds)} seeds for a batch of {len(x)}")
        samples, channels, height, width = x.shape
        kept = x.new_empty(samples, height, width, channels)  # channels last, as the features are
        for mask, seed in zip(kept, self.seeds, strict=True):
            mask.bernoulli_(1.0 - self.p, generator=torch.Generator(x.device).manual_seed(seed))
        return x * kept.div_(1.0 - self.p).permute(0, 3, 1, 2)
