"""Modules that draw random numbers which depend on the iteration and on nothing else."""

from collections.abc import Sequence

from torch import nn


class SeededModule(nn.Module):
    """A module whose seeds the training loop sets before each batch.

    So its draws depend neither on earlier ones nor on the number of processes, and a training can resume at any
    iteration. Different devices draw different values.

    Attributes:
        seeds: one for each sample of the next batches (those of this process); None draws from torch's random state.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seeds: Sequence[int] | None = None
