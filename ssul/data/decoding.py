"""Decoding image files.

torchvision's decoders need about half of Pillow's time and give the same pixels for JPEG photographs and for 8-bit grey
or palette PNGs of values. Pillow decodes everything else: other formats and depths, and files that torchvision refuses,
so that Pillow decides what such a file shows and explains what is wrong with it.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, decode_png

from ssul.data import image_files
from ssul.data.colour_masks import read_colour_mask
from ssul.labels.colours import Colour

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_DEPTH, _COLOURS = 24, 25
"""Offsets in the header of a PNG: bits of a sample, and colour type."""
_GREY, _PALETTE = 0, 3
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Markers of a JPEG's baseline, extended and progressive frames."""


def decode_rgb(path: Path) -> Tensor:
    """Decodes a photograph.

    Returns:
        uint8 (3, H, W), RGB; grey and other colours are converted, an EXIF orientation is not applied.

    Raises:
        OSError: if the file does not exist.
        UnreadableImageError: if it cannot be decoded, or must not be (see `ssul.data.image_files`).
    """
    image_files.open_image(path, "image").close()  # checks the header
    content = path.read_bytes()
    if content.startswith(_JPEG) and _jpeg_colours(content) in (1, 3):
        try:
            return decode_jpeg(_bytes(content), mode=ImageReadMode.RGB)  # type: ignore[no-any-return]
        except RuntimeError:
            pass  # Pillow's error explains what is wrong
    return torch.from_numpy(image_files.rgb(content)).permute(2, 0, 1)


def decode_values(path: Path, what: str) -> Tensor:
    """Decodes a mask or a saliency map: the grey values or palette indices.

    Args:
        path: the file.
        what: `mask` or `saliency map`, for messages.

    Returns:
        uint8 (H, W).

    Raises:
        OSError, UnreadableImageError: see `decode_rgb`.
    """
    image_files.open_image(path, what).close()
    content = path.read_bytes()
    if content.startswith(_PNG) and content[_DEPTH] == 8 and content[_COLOURS] in (_GREY, _PALETTE):
        try:
            channels = decode_png(_bytes(content))
        except RuntimeError:
            channels = ()
        if len(channels) == 1:  # a palette with transparency comes as colours
            return channels[0]  # type: ignore[no-any-return]
    return torch.from_numpy(image_files.values(content, what))


def decode_colours(path: Path, colours: Mapping[Colour, int]) -> Tensor:
    """Decodes a colour-coded mask; Pillow does, because exact colours matter more than time.

    Args:
        path: the file.
        colours: the value of each colour.

    Returns:
        uint8 (H, W), values.

    Raises:
        OSError, UnreadableImageError: see `decode_rgb`; the latter also if a colour is unknown.
    """
    image_files.open_image(path, image_files.COLOUR_MASK).close()
    return torch.from_numpy(read_colour_mask(path.read_bytes(), colours))


def _bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _jpeg_colours(content: bytes) -> int | None:
    """The number of colour components in a JPEG's frame header; None if there is no header of 8-bit components."""
    place = 2
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _FRAMES:
            return content[place + 9] if content[place + 4] == 8 else None
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return None
