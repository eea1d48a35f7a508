"""Colours become values exactly, and unknown colours are counted."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssul.data.colour_masks import read_colour_mask, values_of_colours
from ssul.data.decoding import decode_colours
from ssul.data.image_files import UnreadableImageError
from ssul.labels.colours import Colour, voc_colours

STREET = {(0, 0, 0): 0, (128, 64, 128): 1, (0, 0, 142): 2, (255, 255, 255): 255}
VALUES = np.array([[0, 1, 2], [255, 2, 0]], dtype=np.uint8)


def coloured(values: np.ndarray = VALUES, mode: str = "RGB") -> Image.Image:
    colour_of = {value: colour for colour, value in STREET.items()}
    rgb = np.array([[colour_of.get(int(value), (1, 2, 3)) for value in row] for row in values], dtype=np.uint8)
    return Image.fromarray(rgb).convert(mode, palette=Image.Palette.ADAPTIVE)


def png(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=255, unique=True), st.data())
def test_every_pixel_of_known_colours_gets_its_value(colours: list[Colour], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.integers(0, len(colours) - 1), min_size=1, max_size=20))
    rgb = np.array([[colours[value] for value in drawn]], dtype=np.uint8)
    assert values_of_colours(rgb, {colour: value for value, colour in enumerate(colours)}).tolist() == [drawn]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_the_colours_of_every_kind_of_png_count(tmp_path: Path, mode: str) -> None:
    (tmp_path / "a.png").write_bytes(png(coloured(mode=mode)))
    assert decode_colours(tmp_path / "a.png", STREET).tolist() == VALUES.tolist()


def test_grey_values_are_colours_too() -> None:
    grey = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    assert read_colour_mask(png(grey), STREET).tolist() == [[0, 255]]


def test_unknown_colours_are_named_with_their_pixels_the_frequent_first() -> None:
    rgb = np.array([[(0, 0, 1), (0, 0, 0), (9, 8, 7), (9, 8, 7)]], dtype=np.uint8)
    with pytest.raises(UnreadableImageError) as refused:
        values_of_colours(rgb, STREET)
    assert str(refused.value) == "its mask holds 2 unknown colours: [9, 8, 7] (2 pixels), [0, 0, 1] (1 pixels)"
    with pytest.raises(UnreadableImageError, match=r"13 unknown colours: .* and 5 more"):
        values_of_colours(np.array([voc_colours(14)[1:]], dtype=np.uint8), STREET)


def test_a_jpeg_is_refused_because_its_colours_are_blurred() -> None:
    with pytest.raises(UnreadableImageError, match="must be a PNG, this one is a JPEG, which changes its values"):
        read_colour_mask(png(coloured(), "JPEG"), STREET)


def test_sixteen_bits_are_refused() -> None:
    with pytest.raises(UnreadableImageError, match="must be a PNG of 8-bit colours, this one is I;16"):
        read_colour_mask(png(Image.new("I;16", (2, 2))), STREET)
