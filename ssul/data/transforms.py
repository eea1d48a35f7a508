"""What happens to a picture and its target between disk and network, by torchvision's transforms.v2."""

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class RandomScale(v2.Transform):  # type: ignore[misc]  # torchvision brings no types
    """Resizes by a random factor; targets by nearest-exact sampling.

    torchvision resizes a Mask with its legacy `nearest`, which lies up to half a pixel beside the image;
    `nearest-exact` samples pixel centres, as PIL does and as the image's own bilinear resizing does.
    """

    def __init__(self, smallest: float, largest: float) -> None:
        """Takes the range of factors, uniform."""
        super().__init__()
        self.smallest, self.largest = smallest, largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draws one factor for all inputs from torch's random state."""
        height, width = functional.get_size(flat_inputs[0])
        factor = self.smallest + (self.largest - self.smallest) * torch.rand(()).item()
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resizes one input."""
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.Mask(resize_target(inpt.as_subclass(Tensor), params["size"]))
        return functional.resize(inpt, params["size"], interpolation=InterpolationMode.BILINEAR, antialias=True)


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


def training_transform(*, crop: int, scale: tuple[float, float], fill: int) -> v2.Compose:
    """Random scale, random crop with padding, random horizontal flip, jointly for (Image, Mask).

    Args:
        crop: side of the square crop in pixels.
        scale: the range of the random resizing factor.
        fill: the target value of padding: void (the published code pads with background).
    """
    mean = [round(255 * channel) for channel in IMAGENET_MEAN]
    return v2.Compose(
        [
            RandomScale(*scale),
            v2.RandomCrop(crop, pad_if_needed=True, fill={tv_tensors.Image: mean, tv_tensors.Mask: fill}),
            v2.RandomHorizontalFlip(),
        ]
    )


def normalise(images: Tensor) -> Tensor:
    """uint8 RGB (B, 3, H, W) to the float input of ImageNet networks, on the device where the images are."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(IMAGENET_STD, device=images.device)[:, None, None]
    return (images.float() / 255.0 - mean) / std
