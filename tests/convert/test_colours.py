"""Colour-coded masks and the files that list their colours."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssul.convert.colours import read_colour_file, read_colours
from ssul.errors import UserError

STREET = {"background": (0, 0, 0), "road": (128, 64, 128), "parked car": (0, 0, 142), "void": (255, 255, 255)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("label_colors.txt", "0 0 0\tBackground\n128 64 128\troad\n0 0 142\tparked car\n255 255 255\tVoid\n"),
        ("class_dict.csv", "name,r,g,b\nbackground,0,0,0\nroad, 128, 64, 128\nparked car,0,0,142\nVoid,255,255,255\n"),
        ("c.yaml", "{Background: [0, 0, 0], road: [128, 64, 128], parked car: [0, 0, 142], void: [255, 255, 255]}"),
        ("toys.yaml", f"custom: {{colours: { ({name: [*colour] for name, colour in STREET.items()}) }}}"),
        ("windows.txt", "\ufeff# colours\n\n0 0 0 background\n128;64;128;road\n0,0,142 parked car\n255 255 255 void\n"),
    ],
)
def test_colours_are_read_from_the_files_that_people_have(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_colour_file(tmp_path / name) == STREET


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "it names no colour"),
        ("a.txt", "1 2 3 road\n4 5 6 road\n", "the name road is there twice"),
        ("a.txt", "1 2 3 road\n1 2 3 car\n", r"the colour \(1, 2, 3\) is there twice"),
        ("a.txt", "1 2 256 road\n", r"\[1, 2, 256\] is not a colour"),
        ("a.txt", "1 2 3 road\nroad\n", "line 2 is not a colour and a name"),
        ("a.yaml", "road: 3", "3 is not a colour"),
        ("a.yaml", "[1]", "it is not a list of names"),
        ("a.yaml", "a: [", "flow"),
    ],
)
def test_other_files_are_refused_with_an_example(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"cannot be read \\(.*{words}.*give lines like `128 64 128 road`"):
        read_colour_file(tmp_path / name)


def test_masks_meet_their_images_by_the_name_before_the_ending(tmp_path: Path) -> None:
    (tmp_path / "town").mkdir()
    for name in ("a.jpg", "b.jpg", "b.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / "town" / name)
    for name in ("a_L.png", "b_L.png", "c_L.png"):
        Image.fromarray(np.array([[*STREET.values()]], dtype=np.uint8)).save(tmp_path / "town" / name)
    found = read_colours(tmp_path, tmp_path, STREET, ending="_L.png")
    assert found.classes == ("road", "parked car")
    assert found.broken == {
        "town/b": "several images: b.jpg, b.png",
        "town/c": f"no image town/c.jpg or .png in {tmp_path}",
    }
    (image,) = found.images
    assert image.name == "town/a.jpg"
    assert image.paint(1, 4).tolist() == [[0, 1, 2, 255]]
