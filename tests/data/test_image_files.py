"""What may be in a picture file: judged by its header, decoded after that, and never another number than was meant."""

import io
import os
import struct
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import ExifTags, Image

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


def file_of(picture: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def claiming(width: int, height: int, *, depth: int = 8) -> bytes:
    """A PNG of some bytes that claims to be as large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )


def examined(book: "HandmadeDataset", *, upright: bool = False) -> IndexRow | str:
    (found,) = scan_images(
        book.folders, ["a"], classes=3, values=MaskEncoding(), saliency=False, memo=ScanCache(None), upright=upright
    )
    return found.what if isinstance(found, ImageProblem) else found


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(8193, 8192), (20_000, 20_000), (2**31 - 1, 2**31 - 1), (2**26, 2)])
@pytest.mark.parametrize("what", ["image", "mask"])
def test_a_decompression_bomb_is_refused_before_a_pixel_is_decoded(what: str, width: int, height: int) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match=f"its {what} .*pixels, which are not decoded"):
        pixels.open_image(claiming(width, height), what)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_decompression_bomb_in_a_data_set_is_told_by_name(book: "HandmadeDataset", kind: str) -> None:
    book.add("a", MASK)
    getattr(book.folders, kind)("a").write_bytes(claiming(20_000, 20_000))
    told = examined(book)
    assert isinstance(told, str)
    assert told.startswith(f"its {kind} ")
    with pytest.raises(UserError, match=r"a below .* cannot be read .*pixels, which are not decoded"):
        SegmentationDataset(book.folders).read("a")


def test_a_file_of_too_many_bytes_is_not_read(book: "HandmadeDataset", monkeypatch: pytest.MonkeyPatch) -> None:
    book.add("a", MASK)
    with book.folders.image("a").open("r+b") as file:
        file.truncate(pixels.MAX_BYTES + 1)  # a hole on the disk
    image, read = book.folders.image("a"), Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: pytest.fail(f"{path} is read") if path == image else read(path)
    )
    assert examined(book) == f"its image is a file of more than {pixels.MAX_BYTES} bytes, which is not read"
    with pytest.raises(UserError, match="at most"):
        SegmentationDataset(book.folders).read("a")


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_a_picture_may_be_a_pixel_thin(book: "HandmadeDataset", size: tuple[int, int]) -> None:
    mask = np.full(size, 2)
    book.add("a", mask)
    row = examined(book)
    assert isinstance(row, IndexRow)
    assert (row.height, row.width, row.pixels) == (*size, {2: mask.size})
    assert SegmentationDataset(book.folders).read("a").mask.shape == size


# --- kinds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "WEBP", "EPS", "ICO"])
def test_other_formats_than_jpeg_and_png_are_refused_whatever_their_name(kind: str) -> None:
    """Pillow would hand an EPS file to Ghostscript, which runs the program in it."""
    content = file_of(Image.new("RGB", (4, 4)), kind)
    with pytest.raises(UnreadableImageError, match="not a JPEG or PNG picture"):
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
    with pytest.raises(UnreadableImageError, match="8-bit palette or grey picture, this one has fewer bits"):
        pixels.values(claiming(4, 4, depth=depth), "mask")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_masks_with_a_palette_of_fewer_colours_keep_their_values(bits: int) -> None:
    mask = np.arange(2**bits, dtype=np.uint8)[None] % 200
    picture = Image.fromarray(mask)
    picture.putpalette([255 - value for value in range(256) for _ in range(3)])
    assert pixels.values(file_of(picture, bits=bits), "mask").tolist() == mask.tolist()


def test_a_mask_that_is_a_jpeg_is_refused_because_its_values_are_blurred() -> None:
    with pytest.raises(UnreadableImageError, match="a mask must be a PNG, this one is a JPEG"):
        pixels.values(file_of(Image.new("L", (8, 8)), "JPEG"), "mask")


def test_transparency_changes_no_value_of_a_mask() -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    picture.putpalette([10] * 768)
    assert pixels.values(file_of(picture, transparency=1), "mask").tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
@pytest.mark.parametrize("read", ["read", "index"])
def test_a_pipe_in_place_of_a_picture_is_not_waited_for(book: "HandmadeDataset", kind: str, read: str) -> None:
    book.add("a", MASK, saliency=np.zeros((3, 4)))
    path = getattr(book.folders, kind)("a")
    path.unlink()
    os.mkfifo(path)
    if read == "read":
        with pytest.raises(UserError, match="no regular file"):
            SegmentationDataset(book.folders, saliency=True).read("a")
    else:
        (found,) = scan_images(
            book.folders, ["a"], classes=3, values=MaskEncoding(), saliency=True, memo=ScanCache(None)
        )
        assert isinstance(found, ImageProblem)
        assert "no regular file" in found.what


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
def test_a_picture_that_changed_its_size_after_it_was_indexed_is_refused(book: "HandmadeDataset", kind: str) -> None:
    book.add("a", MASK, saliency=np.zeros((3, 4)))
    path = getattr(book.folders, kind)("a")
    Image.open(path).resize((5, 3)).save(path)
    with pytest.raises(UserError, match="not of one size"):
        SegmentationDataset(book.folders, saliency=True).read("a")


def test_a_mask_that_became_coloured_after_it_was_indexed_is_refused(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    Image.new("RGB", (4, 3)).save(book.folders.mask("a"))
    with pytest.raises(UserError, match="8-bit palette or grey picture, this one is RGB"):
        SegmentationDataset(book.folders).read("a")


# --- turned by EXIF ---------------------------------------------------------------------------------------------------


def add_turned(book: "HandmadeDataset", orientation: int, *, size: tuple[int, int], mask: tuple[int, int]) -> None:
    """Sizes are (height, width), of the photograph as it is stored and of its mask."""
    book.add("a", np.zeros(mask))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.zeros((*size, 3), dtype=np.uint8)).save(book.folders.image("a"), exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_of_a_published_data_set_belongs_to_the_pixels_as_they_are_stored(
    book: "HandmadeDataset", orientation: int
) -> None:
    add_turned(book, orientation, size=(6, 4), mask=(6, 4))
    assert isinstance(examined(book), IndexRow)
    assert SegmentationDataset(book.folders).read("a").image.shape == (3, 6, 4)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_that_was_drawn_on_the_turned_photograph_is_refused_with_the_reason(
    book: "HandmadeDataset", orientation: int
) -> None:
    add_turned(book, orientation, size=(6, 4), mask=(4, 6))
    assert examined(book) == (
        "the image is 4x6, its mask 6x4 pixels as they are stored (an EXIF tag turns the image for viewers; store it "
        "turned)"
    )


@pytest.mark.parametrize(
    ("orientation", "size", "refused"),
    [
        (1, (6, 4), False),
        (6, (6, 4), False),
        (2, (6, 4), True),
        (3, (6, 4), True),
        (8, (4, 4), True),
        (1, (4, 4), False),
    ],
)
def test_where_no_size_tells_how_the_mask_of_own_data_lies_it_is_refused(
    book: "HandmadeDataset", orientation: int, size: tuple[int, int], refused: bool
) -> None:
    add_turned(book, orientation, size=size, mask=size)
    told = examined(book, upright=True)
    assert (isinstance(told, str) and "nobody can tell whether its mask is turned too" in told) is refused


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_exif_tag_that_means_nothing_turns_nothing(book: "HandmadeDataset", value: int) -> None:
    add_turned(book, value, size=(4, 4), mask=(4, 4))
    assert isinstance(examined(book, upright=True), IndexRow)
