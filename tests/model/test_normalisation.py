"""The normalisation of images equals torchvision's."""

import pytest
import torch
from torchvision.transforms import v2

from ssul.model.normalisation import Normalisation


@pytest.mark.parametrize("normalisation", [Normalisation(), Normalisation((0.5, 0.5, 0.5), (0.5, 0.25, 0.5))])
def test_images_are_normalised_as_by_torchvision(normalisation: Normalisation) -> None:
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    theirs = v2.Normalize(normalisation.mean, normalisation.std)
    expected = v2.Compose([v2.ToDtype(torch.float32, scale=True), theirs])(images)
    torch.testing.assert_close(normalisation.normalise(images), expected)
    assert torch.equal(normalisation.network_input(images), normalisation.normalise(images))
