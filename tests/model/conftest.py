"""Networks small enough to be trained for a few iterations in a test."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from tests.model.checkpoints import HEAD_SIZES, MEANING

SMALL = Architecture(backbone="small", head="deeplabv3", output_stride=8, width=16)


@pytest.fixture
def build() -> Callable[..., IncrementalDeepLab]:
    """Builds a network with given head sizes, the same one for the same seed."""

    def network(*head_sizes: int, architecture: Architecture = SMALL, seed: int = 0) -> IncrementalDeepLab:
        torch.manual_seed(seed)
        return IncrementalDeepLab(architecture, head_sizes)

    return network


@pytest.fixture
def images() -> Tensor:
    """Two normalised images of odd size."""
    return torch.randn(2, 3, 33, 41, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def saved(build: Callable[..., IncrementalDeepLab], tmp_path: Path) -> Path:
    """A checkpoint after step 1: unknown, background, three classes and one."""
    save_checkpoint(tmp_path / "step_1", build(*HEAD_SIZES), MEANING)
    return tmp_path / "step_1"
