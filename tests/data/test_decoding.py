"""Decoded pixels are equal to Pillow's, whichever library decodes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ssul.data import image_files as pixels
from ssul.data.decoding import decode_rgb, decode_values
from ssul.data.image_files import UnreadableImageError

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "voc_2007"


def photograph(height: int = 61, width: int = 83) -> Image.Image:
    """Smooth, with some noise."""
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(rows / 7 + channel) * np.cos(columns / 11) for channel in range(3)]
    noise = np.random.default_rng(0).normal(0, 9, (height, width, 3))
    return Image.fromarray((np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8))


def values(height: int = 61, width: int = 83) -> Image.Image:
    """Palette indices; the palette's colours differ from them."""
    ids = np.random.default_rng(0).choice([0, 1, 20, 255], (height, width)).astype(np.uint8)
    image = Image.fromarray(ids)
    image.putpalette([channel for value in range(256) for channel in (255 - value, value, 128)])
    return image


def pillows_rgb(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def pillows_values(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image))


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forbids Pillow to decode; it may read headers."""

    def refuse(image: Image.Image, what: str) -> Image.Image:
        raise AssertionError(f"Pillow decodes the {what}")

    return lambda: monkeypatch.setattr(pixels, "decoded", refuse)


# --- photographs ------------------------------------------------------------------------------------------------------

JPEGS = {
    "444": {"subsampling": 0},
    "422": {"subsampling": 1},
    "420": {"subsampling": 2},
    "progressive": {"progressive": True},
    "quality 30": {"quality": 30},
    "quality 100": {"quality": 100},
    "optimised": {"optimize": True},
    "with a comment": {"comment": b"x" * 900},
}


@pytest.mark.parametrize("size", [(61, 83), (1, 1), (7, 300)])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_is_what_pillow_decodes_and_needs_no_pillow(
    tmp_path: Path, kind: str, size: tuple[int, int], without_pillow: Callable[[], None]
) -> None:
    path = tmp_path / "a.jpg"
    photograph(*size).save(path, **JPEGS[kind])
    expected = pillows_rgb(path)
    without_pillow()
    assert torch.equal(decode_rgb(path), expected)


def test_a_grey_jpeg_is_what_pillow_decodes_and_needs_no_pillow(
    tmp_path: Path, without_pillow: Callable[[], None]
) -> None:
    path = tmp_path / "a.jpg"
    photograph().convert("L").save(path)
    expected = pillows_rgb(path)
    without_pillow()
    assert torch.equal(decode_rgb(path), expected)


KINDS = {"jpg": ["RGB", "L", "1", "CMYK", "YCbCr"], "png": ["RGB", "RGBA", "L", "LA", "P", "1"]}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in KINDS.items() for mode in modes])
def test_a_photograph_of_any_kind_is_what_pillow_decodes(tmp_path: Path, mode: str, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    photograph().convert(mode).save(path)
    assert torch.equal(decode_rgb(path), pillows_rgb(path))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_exif_orientation_is_not_applied(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph().save(path, exif=exif)
    assert decode_rgb(path).shape == (3, 61, 83)
    assert torch.equal(decode_rgb(path), pillows_rgb(path))


def test_the_name_of_a_file_does_not_decide_its_format(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photograph().save(path, format="PNG")
    assert torch.equal(decode_rgb(path), pillows_rgb(path))


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["P", "L"])
@pytest.mark.parametrize("size", [(61, 83), (1, 1), (64, 80)])
def test_an_8_bit_png_is_what_pillow_decodes_and_needs_no_pillow(
    tmp_path: Path, mode: str, size: tuple[int, int], without_pillow: Callable[[], None]
) -> None:
    path = tmp_path / "a.png"
    image = values(*size) if mode == "P" else Image.fromarray(np.asarray(values(*size)))
    assert image.mode == mode
    image.save(path)
    expected = pillows_values(path)
    without_pillow()
    assert torch.equal(decode_values(path, "mask"), expected)
    assert torch.equal(expected, torch.from_numpy(np.array(image)))


@pytest.mark.parametrize(
    "options", [{"bits": 1}, {"bits": 2}, {"bits": 4}, {"transparency": 0}, {"transparency": b"\0\x80\xff"}]
)
def test_a_palette_of_few_bits_or_with_transparency_is_what_pillow_decodes(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "a.png"
    small = Image.fromarray((np.arange(77).reshape(7, 11) % 2).astype(np.uint8))
    small.putpalette([10, 20, 30, 40, 50, 60])
    small.save(path, **options)
    assert torch.equal(decode_values(path, "mask"), pillows_values(path))


def test_grey_with_a_transparent_value_is_what_pillow_decodes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.asarray(values())).save(path, transparency=255)
    assert torch.equal(decode_values(path, "mask"), pillows_values(path))


# --- refusals: the rules are tested in test_image_files ---------------------------------------------------------------


def mask_values(path: Path) -> Tensor:
    return decode_values(path, "mask")


@pytest.mark.parametrize("decode", [decode_rgb, mask_values])
def test_a_file_that_is_gone_is_named(tmp_path: Path, decode: Callable[[Path], Tensor]) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.jpg"):
        decode(tmp_path / "a.jpg")


@pytest.mark.parametrize("kept", [0.2, 0.95])
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_truncated_files_are_refused(tmp_path: Path, kept: float, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    (photograph() if kind == "jpg" else values()).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UnreadableImageError, match="unreadable"):
        decode_rgb(path) if kind == "jpg" else mask_values(path)


# --- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="the real VOC files are not beside the project")
def test_real_voc_files_are_what_pillow_decodes() -> None:
    for mask in sorted((REAL / "SegmentationClassAug").glob("*.png"))[:60]:
        image = REAL / "JPEGImages" / f"{mask.stem}.jpg"
        assert torch.equal(decode_rgb(image), pillows_rgb(image))
        assert torch.equal(mask_values(mask), pillows_values(mask))
