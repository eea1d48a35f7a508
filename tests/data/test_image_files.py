"""What an image file may hold: its header is checked before it is decoded, and no value changes."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssul.data import image_files
from ssul.data.image_files import UnreadableImageError


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, rows: bytes = bytes(64), *, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG with a header that need not fit its rows."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_photographs_of_8_bits_become_rgb(mode: str) -> None:
    white = Image.new("RGB", (16, 8), (255, 255, 255)).convert(mode)
    found = image_files.rgb(file_of(white, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"))
    assert found.shape == (8, 16, 3)
    assert found.min() >= 253


def test_transparent_pixels_keep_their_colour() -> None:
    assert image_files.rgb(file_of(Image.new("RGBA", (2, 1), (10, 20, 30, 0)))).tolist() == [[[10, 20, 30]] * 2]


def test_16_bits_of_colour_keep_their_upper_eight() -> None:
    rows = b"\x00" + struct.pack(">6H", 0, 256, 65535, 0x1234, 0x8000, 0x00FF)
    assert image_files.rgb(png(2, 1, rows, depth=16, colour=2)).tolist() == [[[0, 1, 255], [0x12, 0x80, 0]]]


def test_16_bits_of_grey_are_refused_because_pillow_clips_them() -> None:
    bright = Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16))
    assert np.array(bright.convert("RGB"))[0, :, 0].tolist() == [0, 255, 255, 255]
    with pytest.raises(UnreadableImageError, match="mode I;16: 8 bits a channel"):
        image_files.rgb(file_of(bright))


@pytest.mark.parametrize("options", [{"bits": 1}, {"bits": 2}, {"bits": 4}, {"bits": 8}, {"transparency": 1}])
def test_a_palette_mask_keeps_its_values(options: dict[str, int]) -> None:
    mask = np.arange(2 ** options.get("bits", 8), dtype=np.uint8)[None] % 200
    image = Image.fromarray(mask)
    image.putpalette([255 - value for value in range(256) for _ in range(3)])
    assert image_files.values(file_of(image, **options), "mask").tolist() == mask.tolist()


@pytest.mark.parametrize("depth", [2, 4])
def test_grey_masks_of_fewer_bits_are_refused_because_pillow_changes_their_values(depth: int) -> None:
    """It reads 15 of 4 bits as 255, which is void."""
    with pytest.raises(UnreadableImageError, match="8-bit palette or grey image, this one has fewer bits"):
        image_files.values(png(4, 4, depth=depth), "mask")


@pytest.mark.parametrize("what", ["mask", "saliency map"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "1", "LA"])
def test_values_of_other_modes_are_refused(what: str, mode: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"a {what} must be .* this one is {mode}$"):
        image_files.values(file_of(Image.new(mode, (4, 3))), what)


def test_a_jpeg_mask_is_refused_because_its_values_are_blurred() -> None:
    with pytest.raises(UnreadableImageError, match="a mask must be a PNG, this one is a JPEG"):
        image_files.values(file_of(Image.new("L", (8, 8)), "JPEG"), "mask")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(8193, 8192), (2**31 - 1, 2**31 - 1), (2**26, 2)])
@pytest.mark.parametrize("what", ["image", "mask"])
def test_a_decompression_bomb_is_refused(what: str, width: int, height: int) -> None:
    with pytest.raises(UnreadableImageError, match=f"its {what} .*pixels, which are not decoded"):
        image_files.open_image(png(width, height), what)


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(image_files.MAX_BYTES + 1)  # sparse
    with pytest.raises(UnreadableImageError, match="at most"):
        image_files.open_image(tmp_path / "a.jpg", "image")


def test_a_pipe_is_refused_because_reading_it_would_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"unreadable mask \(not a regular file\)"):
        image_files.open_image(tmp_path / "a.png", "mask")


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "WEBP", "EPS", "ICO"])
def test_other_formats_are_refused(kind: str) -> None:
    """Pillow would hand an EPS file to Ghostscript, which runs the program in it."""
    with pytest.raises(UnreadableImageError, match="not a JPEG or PNG image"):
        image_files.open_image(file_of(Image.new("RGB", (4, 4)), kind), "image")


@pytest.mark.parametrize(
    "content", [b"", b"an error page", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20)]
)
def test_a_file_that_is_not_an_image_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="unreadable image"):
        image_files.open_image(content, "image")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_image_is_refused(share: float) -> None:
    """An error while indexing is better than one in the middle of a training."""
    noise = np.random.default_rng(0).integers(0, 200, (40, 50, 3), dtype=np.uint8)
    photograph, mask = file_of(Image.fromarray(noise), "JPEG"), file_of(Image.fromarray(noise[..., 0]))
    with pytest.raises(UnreadableImageError, match=r"unreadable image \("):
        image_files.rgb(photograph[: 700 + int(share * (len(photograph) - 700))])  # the header has 700 bytes
    with pytest.raises(UnreadableImageError, match=r"unreadable mask \("):
        image_files.values(mask[: 100 + int(share * (len(mask) - 100))], "mask")
