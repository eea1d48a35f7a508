"""Random resized crop, the augmentation of MiB and PLOP: a part of an image by area and aspect, without padding."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ssul.data.random_crop import nearest_pixels, take_pixels

ASPECT = (3 / 4, 4 / 3)
"""The range of width / height, log-uniform as in torchvision."""
ATTEMPTS = 10
"""After so many parts that do not fit, the largest central part of an allowed aspect is taken."""


@dataclass(frozen=True)
class ResizedCrop:
    """A rectangle of an image that is resized to a square.

    Attributes:
        top, left, height, width: of the rectangle in the image, in pixels; it lies within the image.
        side: of the square, in pixels.
        flipped: whether the square is mirrored at last, left to right.
    """

    top: int
    left: int
    height: int
    width: int
    side: int
    flipped: bool

    def image(self, image: Tensor) -> Tensor:
        """The square of an image, uint8 (3, H, W) -> (3, side, side): bilinear with antialiasing, as Pillow resizes."""
        part = self._cut(image)[None]
        square = interpolate(part, size=(self.side, self.side), mode="bilinear", antialias=True)[0]
        return square.flip(-1) if self.flipped else square

    def target(self, encode: Callable[..., Tensor], *maps: Tensor, fill: int) -> Tensor:
        """The square of a target, by the nearest pixel centre: uint8 (side, side).

        Args:
            encode: point-wise encoder of maps.
            maps: uint8 (H, W), as `encode` takes them.
            fill: unused, because nothing is padded.
        """
        del fill
        rows, columns = nearest_pixels(self.height, self.side), nearest_pixels(self.width, self.side)
        square = encode(*(take_pixels(self._cut(part), rows, columns) for part in maps))
        return square.flip(-1) if self.flipped else square

    def _cut(self, pixels: Tensor) -> Tensor:
        return pixels[..., self.top : self.top + self.height, self.left : self.left + self.width]


def sample_resized_crop(
    height: int, width: int, *, crop: int, area: tuple[float, float], generator: torch.Generator
) -> ResizedCrop:
    """Draws a rectangle and whether to flip, by the rule of torchvision's RandomResizedCrop.

    Args:
        height, width: of the image.
        crop: side of the square in pixels.
        area: the range of the rectangle's area as a share of the image's, uniform. A rectangle that does not fit is
            drawn again, so that shares above 1 only shorten the range.
        generator: what is drawn from; on the CPU.
    """
    top, left, rows, columns = _rectangle(height, width, area, generator)
    return ResizedCrop(top, left, rows, columns, crop, bool(torch.rand(1, generator=generator) < 0.5))


def _rectangle(
    height: int, width: int, area: tuple[float, float], generator: torch.Generator
) -> tuple[int, int, int, int]:
    def uniform(low: float, high: float) -> float:
        return torch.empty(()).uniform_(low, high, generator=generator).item()

    for _ in range(ATTEMPTS):
        pixels = height * width * uniform(*area)
        aspect = math.exp(uniform(*(math.log(one) for one in ASPECT)))
        columns, rows = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < columns <= width and 0 < rows <= height:
            top, left = (
                int(torch.randint(0, room + 1, size=(), generator=generator))
                for room in (height - rows, width - columns)
            )
            return top, left, rows, columns
    rows, columns = min(height, round(width / ASPECT[0])), min(width, round(height * ASPECT[1]))
    return (height - rows) // 2, (width - columns) // 2, rows, columns
