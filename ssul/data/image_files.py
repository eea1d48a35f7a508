"""Opening image files: the header decides whether a file is read, before a pixel is decoded.

- Only JPEG and PNG. Pillow reads dozens of other formats and looks at the content, not at the name: an EPS file called
  `photo.jpg` would be handed to Ghostscript, which runs the program in it.
- At most `MAX_PIXELS` pixels and `MAX_BYTES` bytes, because a file of some kilobytes may decode to gigabytes.
- A photograph is grey, RGB, CMYK or has a palette, with 8 bits a channel. Of PNG's 16-bit colours Pillow keeps the
  upper 8 bits, which is right. 16-bit grey is refused, because Pillow clips all values above 255. Transparency is
  ignored, as by every published loader.
- A mask or saliency map is an 8-bit palette or grey PNG; its values count, never their colours. A JPEG would change
  the values, and so would Pillow for grey of 2 or 4 bits (15 becomes 255).
- A colour-coded mask is a PNG of 8-bit colours, or has a palette or grey values that stand for colours.
- EXIF orientation is ignored, as by the published loaders: masks belong to the pixels as they are stored.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

MAX_PIXELS = 1 << 26
"""8192 x 8192: below the size at which Pillow warns, and more than a network can process."""
MAX_BYTES = 1 << 28
"""Of one file: `MAX_PIXELS` in uncompressed RGB, and room for metadata."""
COLOUR_MASK = "colour-coded mask"
_PHOTOGRAPHS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_BROKEN = (OSError, SyntaxError, ValueError, OverflowError, TypeError, LookupError, struct.error, zlib.error)
"""What Pillow is known to raise for damaged files."""


class UnreadableImageError(Exception):
    """A file is not an image, or is refused. The message fits behind the name of the image."""


def open_image(source: Path | bytes, what: str) -> ImageFile:
    """Opens an image and checks its header; nothing is decoded yet.

    Args:
        source: the file, or its content.
        what: its role, for the message and the rules: `image`, `mask`, `saliency map` or `COLOUR_MASK`.

    Raises:
        UnreadableImageError: if it is not an image, or is refused.
        OSError: if the file cannot be read.
    """
    if isinstance(source, Path) and not source.is_file() and source.exists():
        raise UnreadableImageError(f"unreadable {what} (not a regular file)")  # reading a pipe would block
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > MAX_BYTES:
        raise UnreadableImageError(f"its {what} is a file of {size} bytes, at most {MAX_BYTES} are read")
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=("JPEG", "PNG"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # the latter where warnings are errors
        raise UnreadableImageError(f"its {what} has more than {MAX_PIXELS} pixels, which are not decoded") from None
    except UnidentifiedImageError:  # its message contains an address in memory
        raise UnreadableImageError(f"unreadable {what} (not a JPEG or PNG image)") from None
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the disk; Pillow sets no number
            raise
        raise UnreadableImageError(f"unreadable {what} ({error})") from None
    _check_header(image, what)
    return image


def _check_header(image: ImageFile, what: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(
            f"its {what} claims {width}x{height} pixels, which are not decoded: at most {MAX_PIXELS} are "
            "(8192x8192); make it smaller"
        )
    if what == "image":
        if image.mode not in _PHOTOGRAPHS:
            raise UnreadableImageError(
                f"its image has the mode {image.mode}: 8 bits a channel are read, grey or colours"
            )
        return
    if image.mode not in (("P", "L", "RGB", "RGBA") if what == COLOUR_MASK else ("P", "L")):
        colours = "a PNG of 8-bit colours" if what == COLOUR_MASK else "an 8-bit palette or grey image"
        raise UnreadableImageError(f"a {what} must be {colours}, this one is {image.mode}")
    if image.format != "PNG":
        raise UnreadableImageError(f"a {what} must be a PNG, this one is a {image.format}, which changes its values")
    if image.mode == "L" and any(tile[3] != "L" for tile in image.tile):
        raise UnreadableImageError(f"a {what} must be an 8-bit palette or grey image, this one has fewer bits")


def decoded(image: Image.Image, what: str) -> Image.Image:
    """Decodes an opened image completely, because a truncated image still has a valid header.

    Raises:
        UnreadableImageError: if it is truncated or damaged.
    """
    try:
        image.load()
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"unreadable {what} ({error})") from None
    return image


def rgb(source: Path | bytes) -> NDArray[np.uint8]:
    """A photograph, uint8 (H, W, 3); raises as `open_image` and `decoded`."""
    with open_image(source, "image") as image:
        return np.array(decoded(image, "image").convert("RGB"))


def values(source: Path | bytes, what: str) -> NDArray[np.uint8]:
    """The values of a mask or saliency map, uint8 (H, W); raises as `open_image` and `decoded`."""
    with open_image(source, what) as image:
        return np.array(decoded(image, what))
