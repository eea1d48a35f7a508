"""Transforms of whole images, by torchvision's transforms.v2."""

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

MEAN_COLOUR = torch.tensor([124, 116, 104], dtype=torch.uint8)
"""uint8 (3,), RGB: the padding of training crops, ImageNet's mean; close to zero when it is normalised."""


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
