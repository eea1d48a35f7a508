"""Images and masks as text within a page."""

import base64
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 80  # of a JPEG


def inline_image(path: Path, size: tuple[int, int], *, square: bool = False) -> str:
    """A photograph as a data URL.

    Args:
        path: of a JPEG or PNG.
        size: its width and height on the page, in pixels.
        square: whether only the central square is shown.
    """
    with Image.open(path, formats=("JPEG", "PNG")) as image:  # the formats of ssul.data.image_files
        image.draft("RGB", size)  # a large JPEG is decoded at a fraction of its size
        box = central_square(image.size) if square else None
        small = image.convert("RGB").resize(size, box=box)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def inline_pixels(pixels: NDArray[np.uint8]) -> str:
    """An image, uint8 (H, W, 3), as a data URL that holds it to the pixel."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="WEBP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def central_square(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The central square of an image (width, height): left, top, right, bottom."""
    side = min(size)
    left, top = ((length - side) // 2 for length in size)
    return left, top, left + side, top + side


def inline_masks(masks: Sequence[NDArray[np.uint8]]) -> str:
    """Masks (H, W) of one size, one after the other, as a zlib stream in base64."""
    return base64.b64encode(zlib.compress(np.stack(masks).tobytes(), 9)).decode()


def read_ids(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The dataset ids of a palette PNG at a size (width, height), (H, W); each pixel is one of the file's."""
    with Image.open(path, formats=("PNG",)) as image:
        return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.NEAREST))
