"""Random scale, crop with padding and flip of an image, computed only inside the crop.

The result is that of resizing the whole image, padding, cropping and flipping it with torchvision's transforms.v2,
from the same random state: to the bit in targets, within rounding in images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ssul.data.transforms import MEAN_COLOUR

BLACK = torch.zeros(3, dtype=torch.uint8)
"""The colour with which the published code pads."""


@dataclass(frozen=True)
class CropWindow:
    """A square cut out of a resized image.

    Attributes:
        source: height and width of the image as it is on disk, in pixels.
        resized: height and width after resizing.
        top, left: the square's corner in the resized image; negative where padding lies above or to the left.
        side: of the square, in pixels.
        flipped: whether the square is mirrored left to right, after cropping.
        colour: uint8 (3,) of the padding.
    """

    source: tuple[int, int]
    resized: tuple[int, int]
    top: int
    left: int
    side: int
    flipped: bool
    colour: Tensor = field(default=MEAN_COLOUR, compare=False)

    def image(self, image: Tensor) -> Tensor:
        """The crop of an image, resized bilinearly with antialiasing; padding has the colour.

        Only the part below and to the right of the square is left out before resizing, because torch's 8-bit kernel
        accepts a factor but no offset. It is still faster than Pillow's `resize` with a box, which accepts both.

        Args:
            image: uint8 (3, H, W) of the source's size; fastest with channels last in memory, as decoded.

        Returns:
            uint8 (3, side, side).
        """
        (top, bottom), (left, right) = self._rows, self._columns
        pixels = image.permute(1, 2, 0)
        if self.resized != self.source:
            needed = [
                _needed(end, old, new) for end, old, new in zip((bottom, right), self.source, self.resized, strict=True)
            ]
            pixels = _resize(pixels[: needed[0], : needed[1]], self.source, self.resized)
        shown = pixels[top:bottom, left:right].permute(2, 0, 1)
        return self._square(shown, self.colour[:, None, None])

    def target(self, encode: Callable[..., Tensor], *maps: Tensor, fill: int) -> Tensor:
        """The crop of a target, sampled at the nearest pixel centre.

        Args:
            encode: point-wise encoder of maps; applied before or after sampling, whichever has fewer pixels.
            maps: uint8 (H, W) of the source's size, as `encode` takes them.
            fill: the label of padding.

        Returns:
            uint8 (side, side).
        """
        rows, columns = (
            nearest_pixels(old, new)[slice(*shown)]
            for old, new, shown in zip(self.source, self.resized, (self._rows, self._columns), strict=True)
        )
        top, left = rows[0], columns[0]
        needed = slice(top, rows[-1] + 1), slice(left, columns[-1] + 1)
        parts = [part[needed] for part in maps]
        if parts[0].numel() < len(rows) * len(columns):
            shown = take_pixels(encode(*parts), rows - top, columns - left)
        else:
            shown = encode(*(take_pixels(part, rows - top, columns - left) for part in parts))
        return self._square(shown, torch.tensor(fill, dtype=torch.uint8))

    def _square(self, shown: Tensor, padding: Tensor) -> Tensor:
        """The whole square, uint8 (..., side, side), with the part of the image in its place."""
        (top, bottom), (left, right) = self._rows, self._columns
        square = np.empty((*shown.shape[:-2], self.side, self.side), dtype=np.uint8)
        if shown.shape != square.shape:
            square[:] = padding
        unflipped = square[..., ::-1] if self.flipped else square  # a view: torch would have to copy
        unflipped[..., top - self.top : bottom - self.top, left - self.left : right - self.left] = shown
        return torch.from_numpy(square)

    @property
    def _rows(self) -> tuple[int, int]:
        """The resized image's rows in the square: the first, and the one after the last."""
        return max(0, self.top), min(self.resized[0], self.top + self.side)

    @property
    def _columns(self) -> tuple[int, int]:
        return max(0, self.left), min(self.resized[1], self.left + self.side)


def sample_crop_window(
    height: int,
    width: int,
    *,
    crop: int,
    scale: tuple[float, float],
    generator: torch.Generator,
    published_padding: bool = False,
) -> CropWindow:
    """Draws the factor, the place and whether to flip.

    The draws are those of torchvision's RandomCrop(pad_if_needed=True) and RandomHorizontalFlip after one factor. An
    axis that is shorter than the crop is padded on both sides by the difference, so that the image may lie anywhere.

    Args:
        height, width: of the image.
        crop: side of the square in pixels.
        scale: the range of the resizing factor, uniform.
        generator: on the CPU.
        published_padding: pad as SSUL's published code: in black, on all four sides by half of what the width lacks,
            then again by half of what the height still lacks (rounded up). So a short axis is centred.
    """
    factor = scale[0] + (scale[1] - scale[0]) * torch.rand((), generator=generator).item()
    resized = (max(1, round(height * factor)), max(1, round(width * factor)))
    padding = _published_padding(*resized, crop) if published_padding else tuple(max(0, crop - one) for one in resized)
    top, left = (_corner(length, crop, pad, generator) for length, pad in zip(resized, padding, strict=True))
    flipped = bool(torch.rand(1, generator=generator) < 0.5)
    return CropWindow((height, width), resized, top, left, crop, flipped, BLACK if published_padding else MEAN_COLOUR)


def _published_padding(height: int, width: int, crop: int) -> tuple[int, int]:
    padding = max(0, math.ceil((crop - width) / 2))
    padding += max(0, math.ceil((crop - height - 2 * padding) / 2))
    return padding, padding


def _corner(length: int, crop: int, padding: int, generator: torch.Generator) -> int:
    room = length + 2 * padding - crop
    return (int(torch.randint(0, room + 1, size=(), generator=generator)) if room else 0) - padding


def _needed(end: int, old: int, new: int) -> int:
    """How many of `old` pixels decide the first `end` of `new` pixels: up to the kernel's reach, and one more.

    All of them where that part would be resized to its own size, because torch then copies it, whatever the factor.
    """
    step = old / new
    part = min(old, math.ceil(end * step + max(1.0, step)) + 1)
    return old if int(part * _factor(old, new)) == part else part


def _factor(old: int, new: int) -> float:
    """The next number above new / old, because torch rounds length * factor down, and a whole axis must get `new`."""
    return math.nextafter(new / old, math.inf)


def _resize(pixels: Tensor, source: tuple[int, int], resized: tuple[int, int]) -> Tensor:
    """Resizes the upper left part of an image, uint8 (h, w, 3), equal to that part of the resized whole image."""
    # Contiguous before the batch axis is added, because otherwise torch does not recognise channels last, and takes
    # several times as long.
    batch = pixels.contiguous()[None].permute(0, 3, 1, 2)
    if tuple(pixels.shape[:2]) == source:
        larger = interpolate(batch, size=resized, mode="bilinear", antialias=True)
    else:
        factors = tuple(_factor(old, new) for old, new in zip(source, resized, strict=True))
        larger = interpolate(batch, scale_factor=factors, mode="bilinear", antialias=True, recompute_scale_factor=False)
    return larger[0].permute(1, 2, 0)


def nearest_pixels(old: int, new: int) -> NDArray[np.int64]:
    """The nearest of `old` pixels to each of `new` pixels, int64 (new,), with torch's rounding."""
    places = torch.arange(old, dtype=torch.float32)[None, None]
    return interpolate(places, size=new, mode="nearest-exact")[0, 0].long().numpy()


def take_pixels(labels: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    """Some rows and columns; numpy is several times as fast as torch's indexing of bytes."""
    return torch.from_numpy(labels.numpy().take(rows, axis=0).take(columns, axis=1))
