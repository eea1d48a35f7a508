"""Reading the images that users have: by the rules of `ssul.data.image_files`, but upright."""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ssul.data.decoding import decode_rgb
from ssul.data.image_files import UnreadableImageError, decoded, open_image, rgb
from ssul.errors import UserError

ImageLike = str | Path | bytes | Image.Image | NDArray[np.uint8]
"""A file, its content, a Pillow image, or uint8 (H, W, 3), RGB."""
_ORIENTATION = 0x0112
"""The EXIF tag."""
_MODES_8_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def read_image(image: ImageLike) -> Tensor:
    """The pixels of an image, uint8 (3, H, W), RGB.

    They are those that an evaluation reads, in upright order where EXIF says how the camera was held. Transparency is
    ignored.

    Raises:
        UserError: if it cannot be read, or must not be.
    """
    if isinstance(image, np.ndarray):
        return _of_array(image)
    if isinstance(image, Image.Image):
        return _of_pillow(image)
    name = "the image" if isinstance(image, bytes) else str(image)
    source = image if isinstance(image, bytes) else Path(image)
    try:
        with open_image(source, "image") as opened:
            orientation = _orientation(opened)
        pixels = torch.from_numpy(rgb(source)).permute(2, 0, 1) if isinstance(source, bytes) else decode_rgb(source)
    except UnreadableImageError as error:
        raise UserError(f"{name} cannot be read: {error}") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}") from None
    return upright(pixels, orientation)


def upright(pixels: Tensor, orientation: int) -> Tensor:
    """Turns stored pixels (C, H, W) as an EXIF orientation of 1 to 8 says; any other value changes nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 2)
    across = [2] if orientation in (2, 3, 6, 7) else []
    down = [1] if orientation in (3, 4, 7, 8) else []
    return pixels.flip(down + across) if down or across else pixels


def _orientation(image: Image.Image) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's parser of EXIF raises many kinds of errors; damaged EXIF is no damaged image
        return 1
    return found if isinstance(found, int) else 1


def _of_array(pixels: NDArray[np.uint8]) -> Tensor:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UserError(f"an array of {pixels.dtype} {pixels.shape} is no image: give uint8 (H, W, 3), RGB")
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def _of_pillow(image: Image.Image) -> Tensor:
    if image.mode not in _MODES_8_BIT:
        raise UserError(f"an image of the mode {image.mode} is not read: 8 bits a channel are, grey or colours")
    try:
        pixels = np.array(decoded(image, "image").convert("RGB"))
    except UnreadableImageError as error:
        raise UserError(f"the image cannot be read: {error}") from None
    return upright(torch.from_numpy(pixels).permute(2, 0, 1), _orientation(image))
