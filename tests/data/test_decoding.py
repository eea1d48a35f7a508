"""Decoded pixels equal Pillow's, whichever library decodes; test_image_files holds what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ssul.data import image_files
from ssul.data.decoding import decode_rgb, decode_values
from ssul.data.image_files import UnreadableImageError

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "voc_2007"


def photograph(height: int = 61, width: int = 83) -> Image.Image:
    """Smooth, with some noise."""
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(rows / 7 + channel) * np.cos(columns / 11) for channel in range(3)]
    noise = np.random.default_rng(0).normal(0, 9, (height, width, 3))
    return Image.fromarray((np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8))


def mask(height: int = 61, width: int = 83, *, values: tuple[int, ...] = (0, 1, 20, 255)) -> Image.Image:
    """Palette indices; the palette's colours differ from them."""
    image = Image.fromarray(np.random.default_rng(0).choice(values, (height, width)).astype(np.uint8))
    image.putpalette([channel for value in range(max(values) + 1) for channel in (255 - value, value, 128)])
    return image


def grey(*size: int) -> Image.Image:
    return Image.fromarray(np.asarray(mask(*size)))


def mask_values(path: Path) -> Tensor:
    return decode_values(path, "mask")


def pillows(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image))


def pillows_rgb(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forbids Pillow to decode; it may read headers."""
    return lambda: monkeypatch.setattr(
        image_files, "decoded", lambda _, what: pytest.fail(f"Pillow decodes the {what}")
    )


JPEGS: list[dict[str, Any]] = [
    *({"subsampling": number} for number in range(3)),
    *({"quality": number} for number in (30, 100)),
    {"progressive": True},
    {"optimize": True},
    {"comment": b"x" * 900},
]


@pytest.mark.parametrize("image", [photograph(), photograph(1, 1), photograph(7, 300), photograph().convert("L")])
@pytest.mark.parametrize("options", JPEGS)
def test_a_jpeg_is_what_pillow_decodes_without_pillow(
    tmp_path: Path, options: dict[str, Any], image: Image.Image, without_pillow: Callable[[], None]
) -> None:
    image.save(path := tmp_path / "a.jpg", **options)
    expected = pillows_rgb(path)
    without_pillow()
    assert torch.equal(decode_rgb(path), expected)


@pytest.mark.parametrize("image", [kind(*size) for kind in (mask, grey) for size in ((61, 83), (1, 1), (64, 80))])
def test_an_8_bit_png_of_values_is_what_pillow_decodes_without_pillow(
    tmp_path: Path, image: Image.Image, without_pillow: Callable[[], None]
) -> None:
    image.save(path := tmp_path / "a.png")
    expected = pillows(path)
    without_pillow()
    assert torch.equal(mask_values(path), expected)
    assert torch.equal(expected, torch.from_numpy(np.array(image)))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("kind", ["JPEG RGB L 1 CMYK YCbCr", "PNG RGB RGBA L LA P 1"])
def test_a_photograph_of_any_mode_is_what_pillow_decodes_whatever_its_name(
    tmp_path: Path, name: str, kind: str
) -> None:
    file_format, *modes = kind.split()
    for mode in modes:
        photograph().convert(mode).save(tmp_path / name, format=file_format)
        assert torch.equal(decode_rgb(tmp_path / name), pillows_rgb(tmp_path / name)), mode


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_exif_orientation_is_not_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph().save(path := tmp_path / "a.jpg", exif=exif)
    assert decode_rgb(path).shape == (3, 61, 83)
    assert torch.equal(decode_rgb(path), pillows_rgb(path))


@pytest.mark.parametrize(
    ("image", "options"),
    [
        *((mask(values=(0, 1)), {"bits": bits}) for bits in (1, 2, 4)),
        (mask(values=(0, 1)), {"transparency": 0}),
        (mask(values=(0, 1)), {"transparency": b"\0\x80\xff"}),
        (grey(), {"transparency": 255}),
    ],
)
def test_other_pngs_of_values_are_what_pillow_decodes(
    tmp_path: Path, image: Image.Image, options: dict[str, Any]
) -> None:
    image.save(path := tmp_path / "a.png", **options)
    assert torch.equal(mask_values(path), pillows(path))


@pytest.mark.parametrize(("image", "decode"), [(photograph(), decode_rgb), (mask(), mask_values)])
def test_missing_and_truncated_files_are_refused(
    tmp_path: Path, image: Image.Image, decode: Callable[[Path], Tensor]
) -> None:
    path = tmp_path / "a.file"
    with pytest.raises(FileNotFoundError, match=r"a\.file"):
        decode(path)
    image.save(path, format="JPEG" if decode is decode_rgb else "PNG")
    content = path.read_bytes()
    for share in (0.2, 0.95):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(UnreadableImageError, match="unreadable"):
            decode(path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real VOC files are not beside the project")
def test_real_voc_files_are_what_pillow_decodes() -> None:
    for path in sorted((REAL / "SegmentationClassAug").glob("*.png"))[:60]:
        image = REAL / "JPEGImages" / f"{path.stem}.jpg"
        assert torch.equal(decode_rgb(image), pillows_rgb(image))
        assert torch.equal(mask_values(path), pillows(path))
