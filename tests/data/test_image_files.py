"""What an image file may hold: its header is checked before it is decoded, and no value changes."""

import io
import os
import struct
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from ssul.data import image_files as pixels
from ssul.data.dataset import SegmentationDataset
from ssul.data.image_files import UnreadableImageError
from ssul.data.index import IndexRow
from ssul.data.layout import MaskEncoding
from ssul.datasets.scan import ImageProblem, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

MASK = [[0, 1, 1, 2], [255, 2, 0, 0], [0, 0, 2, 1]]


def file_of(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def claiming(width: int, height: int, *, depth: int = 8) -> bytes:
    """A PNG of some bytes that claims to be as large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )


def scanned(book: "HandmadeDataset") -> IndexRow | str:
    (found,) = scan_images(book.folders, ["a"], classes=3, values=MaskEncoding(), saliency=False, cache=ScanCache(None))
    return found.what if isinstance(found, ImageProblem) else found


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(8193, 8192), (20_000, 20_000), (2**31 - 1, 2**31 - 1), (2**26, 2)])
@pytest.mark.parametrize("what", ["image", "mask"])
def test_a_decompression_bomb_is_refused_before_a_pixel_is_decoded(what: str, width: int, height: int) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match=f"its {what} .*pixels, which are not decoded"):
        pixels.open_image(claiming(width, height), what)
    assert time.monotonic() - began < 2


def test_a_file_of_too_many_bytes_is_not_read(book: "HandmadeDataset", monkeypatch: pytest.MonkeyPatch) -> None:
    book.add("a", MASK)
    with book.folders.image("a").open("r+b") as file:
        file.truncate(pixels.MAX_BYTES + 1)  # a hole on the disk
    image, read = book.folders.image("a"), Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: pytest.fail(f"{path} is read") if path == image else read(path)
    )
    assert scanned(book) == f"its image is a file of more than {pixels.MAX_BYTES} bytes, which is not read"
    with pytest.raises(UserError, match="at most"):
        SegmentationDataset(book.folders).read("a")


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_a_image_may_be_a_pixel_thin(book: "HandmadeDataset", size: tuple[int, int]) -> None:
    mask = np.full(size, 2)
    book.add("a", mask)
    row = scanned(book)
    assert isinstance(row, IndexRow)
    assert (row.height, row.width, row.pixels) == (*size, {2: mask.size})
    assert SegmentationDataset(book.folders).read("a").mask.shape == size


# --- kinds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "WEBP", "EPS", "ICO"])
def test_other_formats_than_jpeg_and_png_are_refused_whatever_the_name(kind: str) -> None:
    """Pillow would hand an EPS file to Ghostscript, which runs the program in it."""
    content = file_of(Image.new("RGB", (4, 4)), kind)
    with pytest.raises(UnreadableImageError, match="not a JPEG or PNG image"):
        pixels.open_image(content, "image")


def test_sixteen_bits_of_grey_are_refused_because_they_would_be_cut_off_at_255() -> None:
    bright = Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16))
    assert np.array(bright.convert("RGB"))[0, :, 0].tolist() == [0, 255, 255, 255]  # why
    with pytest.raises(UnreadableImageError, match="mode I;16: 8 bits a channel"):
        pixels.rgb(file_of(bright))


def test_sixteen_bits_of_colour_keep_their_upper_eight() -> None:
    rows = b"\x00" + struct.pack(">6H", 0, 256, 65535, 0x1234, 0x8000, 0x00FF)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert pixels.rgb(png).tolist() == [[[0, 1, 255], [0x12, 0x80, 0]]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_photographs_of_8_bits_become_rgb(mode: str) -> None:
    grey = Image.new("RGB", (16, 8), (255, 255, 255)).convert(mode)
    found = pixels.rgb(file_of(grey, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"))
    assert found.shape == (8, 16, 3)
    assert found.min() >= 253


def test_what_lies_under_transparent_pixels_counts() -> None:
    assert pixels.rgb(file_of(Image.new("RGBA", (2, 1), (10, 20, 30, 0)))).tolist() == [[[10, 20, 30]] * 2]


@pytest.mark.parametrize("depth", [2, 4])
def test_masks_of_grey_with_fewer_bits_are_refused_because_pillow_changes_their_values(depth: int) -> None:
    """Of 4 bits 15 would be read as 255, which is void."""
    with pytest.raises(UnreadableImageError, match="8-bit palette or grey image, this one has fewer bits"):
        pixels.values(claiming(4, 4, depth=depth), "mask")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_masks_with_a_palette_of_fewer_colours_keep_their_values(bits: int) -> None:
    mask = np.arange(2**bits, dtype=np.uint8)[None] % 200
    image = Image.fromarray(mask)
    image.putpalette([255 - value for value in range(256) for _ in range(3)])
    assert pixels.values(file_of(image, bits=bits), "mask").tolist() == mask.tolist()


def test_a_mask_that_is_a_jpeg_is_refused_because_its_values_are_blurred() -> None:
    with pytest.raises(UnreadableImageError, match="a mask must be a PNG, this one is a JPEG"):
        pixels.values(file_of(Image.new("L", (8, 8)), "JPEG"), "mask")


def test_transparency_changes_no_value_of_a_mask() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    image.putpalette([10] * 768)
    assert pixels.values(file_of(image, transparency=1), "mask").tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
def test_a_image_that_changed_its_size_after_it_was_indexed_is_refused(book: "HandmadeDataset", kind: str) -> None:
    book.add("a", MASK, saliency=np.zeros((3, 4)))
    path = getattr(book.folders, kind)("a")
    Image.open(path).resize((5, 3)).save(path)
    with pytest.raises(UserError, match="not of one size"):
        SegmentationDataset(book.folders, saliency=True).read("a")


@pytest.mark.parametrize("what", ["mask", "saliency map"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "1", "LA"])
def test_values_of_other_modes_are_refused(what: str, mode: str) -> None:
    message = f"a {what} must be an 8-bit palette or grey image, this one is {mode}$"
    with pytest.raises(UnreadableImageError, match=message):
        pixels.values(file_of(Image.new(mode, (4, 3))), what)


@pytest.mark.parametrize(
    "content", [b"", b"an error page", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20)]
)
def test_a_file_that_is_not_an_image_is_refused(content: bytes) -> None:
    for what in ("image", "mask"):
        with pytest.raises(UnreadableImageError, match=f"unreadable {what}"):
            pixels.open_image(content, what)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_image_that_is_cut_off_is_refused(share: float) -> None:
    """Half a download: an error now is better than one in the middle of a training."""
    noise = np.random.default_rng(0).integers(0, 200, (40, 50, 3), dtype=np.uint8)
    photograph, mask = file_of(Image.fromarray(noise), "JPEG"), file_of(Image.fromarray(noise[..., 0]))
    with pytest.raises(UnreadableImageError, match=r"unreadable image \("):
        pixels.rgb(photograph[: 700 + int(share * (len(photograph) - 700))])  # the size is in the first 700 bytes
    with pytest.raises(UnreadableImageError, match=r"unreadable mask \("):
        pixels.values(mask[: 100 + int(share * (len(mask) - 100))], "mask")


@pytest.mark.parametrize("read", ["read", "index"])
def test_reading_does_not_block_on_a_pipe(book: "HandmadeDataset", read: str) -> None:
    book.add("a", MASK)
    book.folders.mask("a").unlink()
    os.mkfifo(book.folders.mask("a"))
    if read == "read":
        with pytest.raises(UserError, match="not a regular file"):
            SegmentationDataset(book.folders).read("a")
    else:
        assert scanned(book) == "unreadable mask (not a regular file)"
