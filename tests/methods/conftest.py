"""Networks as after some training, and batches of a step, for every method."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab

SMALL = Architecture("small", "deeplabv3", 8, 16)
ARCHITECTURES = {
    "v3": SMALL,
    "v3, conv1x1": replace(SMALL, classifier="conv1x1"),
    "v3+": replace(SMALL, head="deeplabv3plus"),
    "v3+, conv1x1": replace(SMALL, head="deeplabv3plus", classifier="conv1x1"),
}
Trained = Callable[..., IncrementalDeepLab]


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    """Every head on every kind of network."""
    return ARCHITECTURES[request.param]


@pytest.fixture
def trained() -> Trained:
    """Builds a network whose norms know their statistics and do something; float64, in evaluation mode."""

    def build(
        labels: LabelSpace, architecture: Architecture = SMALL, dtype: torch.dtype = torch.float64, seed: int = 0
    ) -> IncrementalDeepLab:
        torch.manual_seed(seed)
        model = IncrementalDeepLab(architecture, labels.head_sizes).to(dtype)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                    assert tensor is not None
                    tensor.uniform_(0.5, 1.5)
        with torch.no_grad():
            for head in model.heads:
                assert isinstance(head.classifier, nn.Conv2d)
                assert head.classifier.bias is not None
                head.classifier.weight.mul_(4)
                head.classifier.bias.normal_()
        return model.eval()

    return build


@pytest.fixture
def drawn() -> Callable[..., tuple[Tensor, Tensor]]:
    """Draws images of odd size, and a target with the named channels and void."""

    def draw(*channels: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(2, 3, 33, 41, generator=generator).to(dtype)
        values = torch.tensor([*channels, VOID], dtype=torch.uint8)
        return images, values[torch.randint(len(values), (2, 33, 41), generator=generator)]

    return draw
