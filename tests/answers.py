"""Pictures and networks whose answers are known in advance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ssul.data.dataset import LabeledImage
from ssul.model.normalisation import Normalisation

Ids = Sequence[Sequence[int]]
APART = 20
RED_MEAN, RED_STD = 0.485, 0.229


@dataclass(frozen=True)
class Pictures:
    """A dataset in memory, everything in it salient or nothing.

    Attributes:
        content: image id -> (the ids that a network is to see, the mask). What is to be seen is the image's red.
        salient: whether there is anything salient.
    """

    content: Mapping[str, tuple[Ids, Ids]]
    salient: bool = False

    def read(self, image_id: str) -> LabeledImage:
        seen, mask = (torch.tensor(ids, dtype=torch.uint8) for ids in self.content[image_id])
        return LabeledImage(image_id, (APART * seen).expand(3, -1, -1), mask, torch.full_like(mask, 255 * self.salient))


class SeesRed(nn.Module):
    """A network that reads from the picture's red what it is to see, and answers with a given logit."""

    normalisation = Normalisation()
    align_corners = False

    def __init__(self, channel_of: Mapping[int, int], channels: int, logit: float = 5.0) -> None:
        super().__init__()
        self.channel_of, self.channels, self.logit = dict(channel_of), channels, logit

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        ids = ((images[:, 0] * RED_STD + RED_MEAN) * 255 / APART).round()
        logits = torch.full((len(images), self.channels, *images.shape[-2:]), -20.0)
        for seen, channel in self.channel_of.items():
            logits[:, channel][ids == seen] = self.logit
        return logits

    def forward_low_res(self, images: Tensor) -> Tensor:
        return self(images)  # as fine as the images: there is nothing to up-sample

    def upsample(self, logits: Tensor, images: Tensor) -> Tensor:
        del images
        return logits


@pytest.fixture
def cpu() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def dataset_of() -> type[Pictures]:
    return Pictures


@pytest.fixture
def sees_red() -> type[SeesRed]:
    return SeesRed
