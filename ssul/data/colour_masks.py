"""Masks whose colours are the classes: exact colours to mask values."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ssul.data import image_files
from ssul.data.image_files import UnreadableImageError
from ssul.labels.colours import Colour

MAX_NAMED = 8


def values_of_colours(rgb: NDArray[np.uint8], colours: Mapping[Colour, int]) -> NDArray[np.uint8]:
    """The value of each pixel's colour; a colour must be met exactly.

    Args:
        rgb: uint8 (H, W, 3).
        colours: the value of each known colour.

    Returns:
        uint8 (H, W).

    Raises:
        UnreadableImageError: naming the unknown colours with their numbers of pixels, the most frequent first.
    """
    known = sorted((_packed(colour), value) for colour, value in colours.items())
    keys = np.array([key for key, _ in known], dtype=np.uint32)
    values = np.array([value for _, value in known], dtype=np.uint8)
    pixels = rgb[..., 0].astype(np.uint32) << 16 | rgb[..., 1].astype(np.uint32) << 8 | rgb[..., 2]
    places = np.minimum(np.searchsorted(keys, pixels), len(keys) - 1)
    unknown = pixels[keys[places] != pixels]
    if unknown.size:
        raise UnreadableImageError(_unknown(unknown))
    return values[places]


def read_colour_mask(content: bytes, colours: Mapping[Colour, int]) -> NDArray[np.uint8]:
    """The values of a colour-coded PNG, uint8 (H, W); its transparency is ignored.

    Raises:
        UnreadableImageError: if it cannot be decoded (see `ssul.data.image_files`), or holds an unknown colour.
    """
    with image_files.open_image(content, image_files.COLOUR_MASK) as image:
        rgb = np.asarray(image_files.decoded(image, "mask").convert("RGB"))
    return values_of_colours(rgb, colours)


def _packed(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _unknown(pixels: NDArray[np.uint32]) -> str:
    found, counts = np.unique(pixels, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:MAX_NAMED]
    named = ", ".join(
        f"[{key >> 16}, {key >> 8 & 255}, {key & 255}] ({count} pixels)"
        for key, count in zip(found[frequent].tolist(), counts[frequent].tolist(), strict=True)
    )
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return f"its mask holds {len(found)} unknown colour{'s' if len(found) > 1 else ''}: {named}{more}"
