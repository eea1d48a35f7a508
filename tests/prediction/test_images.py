"""Users' images arrive upright, in RGB, with the pixels that an evaluation reads; what cannot be read is named."""

import io
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ssul.data.decoding import decode_rgb
from ssul.errors import UserError
from ssul.prediction.images import read_image, upright


def content(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation: int, tmp_path: Path, photograph: NDArray[np.uint8]) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content(Image.fromarray(photograph), "JPEG", exif=exif(orientation)))
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        assert np.array_equal(read_image(source).permute(1, 2, 0), expected)


def test_an_orientation_that_there_is_not_changes_nothing() -> None:
    pixels = torch.arange(12).view(1, 3, 4)
    assert torch.equal(upright(pixels, 0), pixels)
    assert torch.equal(upright(pixels, 9), pixels)


def test_a_file_without_orientation_is_what_an_evaluation_reads(tmp_path: Path, photograph: NDArray[np.uint8]) -> None:
    Image.fromarray(photograph).save(tmp_path / "photo.jpg")
    assert torch.equal(read_image(tmp_path / "photo.jpg"), decode_rgb(tmp_path / "photo.jpg"))


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG")]
)
def test_grey_alpha_palette_and_cmyk_become_rgb(mode: str, kind: str, photograph: NDArray[np.uint8]) -> None:
    image = Image.fromarray(photograph).convert(mode)
    if "A" in mode:
        image.putalpha(7)
    with Image.open(io.BytesIO(content(image, kind))) as stored:
        expected = np.asarray(stored.convert("RGB"))
    assert np.array_equal(read_image(content(image, kind)).permute(1, 2, 0), expected)
    assert read_image(image).shape == (3, 90, 130)


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixel."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (header, b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


GREY_16 = content(Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)), "PNG")


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (b"", "not a JPEG or PNG image"),
        (content(Image.new("RGB", (64, 64), "red"), "JPEG")[:400], "unreadable image"),
        (content(Image.new("RGB", (4, 4)), "BMP"), "not a JPEG or PNG image"),
        (GREY_16, "8 bits a channel"),
        (png_of(100_000, 100_000), "pixels, which are not decoded"),
    ],
)
def test_an_image_that_cannot_be_used_is_refused_by_name(damaged: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=rf"^{path} cannot be read: .*{why}") as refused:
        read_image(path)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=rf"^the image cannot be read: .*{why}"):
        read_image(damaged)


def test_what_is_no_image_in_memory_or_on_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"array of float32 \(3, 4, 3\) is no image: give uint8"):
        read_image(np.zeros((3, 4, 3), dtype=np.float32))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="mode I;16"):
        read_image(Image.open(io.BytesIO(GREY_16)))
    with pytest.raises(UserError, match=r"nowhere.jpg cannot be read: No such file"):
        read_image(tmp_path / "nowhere.jpg")


@given(st.data())
def test_any_damage_gives_pixels_or_a_refusal(data: st.DataObject) -> None:
    whole = bytearray(content(Image.new("RGB", (24, 16), "teal"), "JPEG", exif=exif(6)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with warnings.catch_warnings(), suppress(UserError):
        warnings.simplefilter("error")
        assert read_image(damaged).dtype == torch.uint8
