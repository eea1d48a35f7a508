"""What a network expects of its input: the mean and the standard deviation that its backbone was pretrained with."""

from dataclasses import dataclass

import torch
from torch import Tensor

Channels = tuple[float, float, float]
"""A number for each of red, green and blue, in units of the full range 0..1."""
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalisation:
    """The normalisation of one network's input; `IncrementalDeepLab.normalisation` is the one to use.

    Attributes:
        mean, std: of each channel; by default those of most networks that were pretrained on ImageNet.
    """

    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 RGB (B, 3, H, W) to the float input of the network, on the device where the images are."""
        mean = torch.tensor(self.mean, device=images.device)[:, None, None]
        std = torch.tensor(self.std, device=images.device)[:, None, None]
        return (images.float() / 255.0 - mean) / std

    def network_input(self, images: Tensor) -> Tensor:
        """`normalise`, in the memory layout that makes convolutions quick: uint8 (B, 3, H, W) to float (B, 3, H, W)."""
        return self.normalise(images).contiguous(memory_format=torch.channels_last)
