"""A network that sees something of everything in a photograph, on disk: for the tests of predictions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ssul.inference.trained_model import TrainedModel
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.heads import Head
from ssul.model.normalisation import Normalisation

SPACE = LabelSpace(((3, 1), (2,)), unknown=True, activation="sigmoid")
NAMES = ("house", "ball", "star")  # the classes 3, 1 and 2 of the drawn world


@pytest.fixture
def photograph() -> NDArray[np.uint8]:
    """Coarse noise, uint8 (90, 130, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return coarse.repeat(10, axis=0).repeat(10, axis=1)


@pytest.fixture
def onlooker(tmp_path: Path, photograph: NDArray[np.uint8]) -> Callable[..., Path]:
    """Writes a checkpoint whose logits on the photograph have mean 0 and one spread, and returns its folder."""
    image = Normalisation().network_input(torch.from_numpy(photograph).permute(2, 0, 1)[None])

    def checkpoint(labels: LabelSpace = SPACE, head: str = "deeplabv3", folder: Path = tmp_path / "checkpoint") -> Path:
        torch.manual_seed(0)
        architecture = Architecture("small", head, 16, 8, constant_head=labels.constant_head)
        model = IncrementalDeepLab(architecture, labels.head_sizes).eval()
        with torch.no_grad():
            spread, mean = torch.std_mean(model.forward_low_res(image), dim=(0, 2, 3))
            for index, one in enumerate(model.heads):
                if isinstance(one, Head):
                    channels = labels.channels_of_heads([index])
                    one.classifier.weight *= 2 / spread[channels, None, None, None]
                    one.classifier.bias = torch.nn.Parameter(
                        (one.classifier.bias - mean[channels]) * 2 / spread[channels]
                    )
        TrainedModel(model, labels, NAMES).save(folder)
        return folder

    return checkpoint
