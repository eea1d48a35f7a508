"""Transforms of whole images, by torchvision's transforms.v2."""

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MEAN_COLOUR = torch.tensor([round(255 * channel) for channel in IMAGENET_MEAN], dtype=torch.uint8)
"""uint8 (3,), RGB: the padding of training crops; close to zero when normalised."""


def resize_target(target: Tensor, size: list[int]) -> Tensor:
    """Resizes integer labels uint8 (H, W) to (height, width) by the nearest pixel centre, as PIL's NEAREST."""
    resized: Tensor = functional.resize_image(target[None], size, interpolation=InterpolationMode.NEAREST_EXACT)[0]
    return resized


def centre_crop(image: Tensor, target: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Resizes the short side to `side` and cuts out the central square: the published code's `crop_val`.

    Args:
        image: uint8 (3, H, W), resized bilinearly with antialiasing.
        target: uint8 (H, W), integer labels, resized as by `resize_target`.
        side: pixels.

    Returns:
        uint8 (3, side, side) and uint8 (side, side).
    """
    short = min(target.shape)
    size = [side * length // short for length in target.shape]
    resized = functional.resize(image, size, interpolation=InterpolationMode.BILINEAR, antialias=True)
    labels = resize_target(target, size)[None]
    return functional.center_crop(resized, [side, side]), functional.center_crop(labels, [side, side])[0]


def normalise(images: Tensor) -> Tensor:
    """uint8 RGB (B, 3, H, W) to the float input of ImageNet networks, on the device where the images are."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(IMAGENET_STD, device=images.device)[:, None, None]
    return (images.float() / 255.0 - mean) / std


def network_input(images: Tensor) -> Tensor:
    """`normalise`, in the memory layout that makes convolutions quick: uint8 (B, 3, H, W) to float (B, 3, H, W)."""
    return normalise(images).contiguous(memory_format=torch.channels_last)
