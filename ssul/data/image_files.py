"""Opening picture files: what may be in one is decided here, from its header, before a pixel of it is decoded.

- JPEG and PNG alone. Pillow knows dozens of other formats and looks at the content, not at the name: an EPS file called
  `photo.jpg` would be handed to Ghostscript, which runs the program in it.
- No more pixels than `MAX_PIXELS` and no more bytes than `MAX_BYTES`: a file of some kilobytes may claim gigabytes.
- A photograph is grey, RGB, CMYK or has a palette, with 8 bits a channel (PNG's 16-bit colours are halved by Pillow,
  which keeps them right). 16-bit grey is refused: Pillow cuts off all that is brighter than 255, silently. What is
  under transparent pixels counts, as for every published loader.
- A mask or saliency map is an 8-bit palette or grey PNG; the values themselves count, never their colours. A JPEG would
  have blurred them into other values; of grey with 2 or 4 bits Pillow makes other values, silently (15 becomes 255).
- The EXIF tag that turns a photograph for viewers is not applied: the masks of the published datasets belong to the
  pixels as they are stored, and the published loaders ignore it. Sizes are compared as stored, so that a mask that was
  drawn on a photograph turned by 90 degrees is refused. Where both sizes agree although the photograph is turned or
  mirrored (by 180 degrees, or a square one), nobody can tell which way the mask lies: `is_ambiguous` says so, and an
  own dataset with such a file is refused.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

MAX_PIXELS = 1 << 26
"""8192 x 8192. Below the number from which Pillow warns, and above every photograph that a network is shown whole."""
MAX_BYTES = 1 << 28
"""Of one file: what `MAX_PIXELS` take as RGB where nothing is compressed, and room for notes."""
_PHOTOGRAPHS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_BROKEN = (OSError, SyntaxError, ValueError, OverflowError, TypeError, LookupError, struct.error, zlib.error)
"""What Pillow raises for damaged files, as far as is known."""
_TURNED, _AS_STORED = range(5, 9), 1
"""EXIF orientations: those that swap width and height; the one that changes nothing."""


class UnreadableImageError(Exception):
    """What is wrong with a file, in words that fit behind its name or kind."""


def open_image(source: Path | bytes, what: str) -> ImageFile:
    """Opens a picture and judges its header; nothing is decoded yet.

    Args:
        source: the file, or its content.
        what: it is, for the message: `image`, `mask`, `saliency map`.

    Raises:
        UnreadableImageError: if it is no picture, or one that is refused.
        OSError: if the file cannot be read.
    """
    if isinstance(source, Path) and not source.is_file() and source.exists():
        raise UnreadableImageError(f"unreadable {what} (no regular file)")  # a pipe would be waited for without end
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > MAX_BYTES:
        raise UnreadableImageError(f"its {what} is a file of {size} bytes, at most {MAX_BYTES} are read")
    try:
        picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=("JPEG", "PNG"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # the latter where warnings are errors
        raise UnreadableImageError(f"its {what} has more than {MAX_PIXELS} pixels, which are not decoded") from None
    except UnidentifiedImageError:  # its message holds an address in memory
        raise UnreadableImageError(f"unreadable {what} (not a JPEG or PNG picture)") from None
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's; Pillow gives no number
            raise
        raise UnreadableImageError(f"unreadable {what} ({error})") from None
    _judge(picture, what)
    return picture


def _judge(picture: ImageFile, what: str) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(
            f"its {what} claims {width}x{height} pixels, which are not decoded: at most {MAX_PIXELS} are "
            "(8192x8192); make it smaller"
        )
    if what == "image":
        if picture.mode not in _PHOTOGRAPHS:
            raise UnreadableImageError(
                f"its image has the mode {picture.mode}: 8 bits a channel are read, grey or colours"
            )
        return
    if picture.mode not in ("P", "L"):
        raise UnreadableImageError(f"a {what} must be an 8-bit palette or grey picture, this one is {picture.mode}")
    if picture.format != "PNG":
        raise UnreadableImageError(f"a {what} must be a PNG, this one is a {picture.format}, which changes its values")
    if picture.mode == "L" and any(tile[3] != "L" for tile in picture.tile):
        raise UnreadableImageError(f"a {what} must be an 8-bit palette or grey picture, this one has fewer bits")


def decoded(picture: Image.Image, what: str) -> Image.Image:
    """Decodes an opened picture, whole: one that is cut off has a whole header.

    Raises:
        UnreadableImageError: if it is cut off or damaged.
    """
    try:
        picture.load()
    except (
        OSError,
        SyntaxError,
        ValueError,
        OverflowError,
        TypeError,
        LookupError,
        Image.DecompressionBombError,
    ) as error:
        raise UnreadableImageError(f"unreadable {what} ({error})") from None
    return picture


def rgb(source: Path | bytes) -> NDArray[np.uint8]:
    """A photograph, uint8 (H, W, 3); raises as `open_image` and `decoded`."""
    with open_image(source, "image") as picture:
        return np.array(decoded(picture, "image").convert("RGB"))


def values(source: Path | bytes, what: str) -> NDArray[np.uint8]:
    """The values of a mask or saliency map, uint8 (H, W); raises as `open_image` and `decoded`."""
    with open_image(source, what) as picture:
        return np.array(decoded(picture, what))


def is_turned(picture: Image.Image) -> bool:
    """Whether viewers show an opened photograph with width and height swapped, by its EXIF tag."""
    return _orientation(picture) in _TURNED


def is_ambiguous(picture: Image.Image) -> bool:
    """Whether viewers show an opened photograph turned or mirrored, but of the same size."""
    shown = _orientation(picture)
    return shown != _AS_STORED and (shown not in _TURNED or picture.width == picture.height)


def _orientation(picture: Image.Image) -> int:
    try:
        found = picture.getexif().get(ExifTags.Base.Orientation, _AS_STORED)
    except Exception:  # notes that nobody can read turn nothing
        return _AS_STORED
    return found if isinstance(found, int) and 1 <= found <= 8 else _AS_STORED
