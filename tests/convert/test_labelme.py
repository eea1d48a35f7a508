"""LabelMe's files: one that its own writer wrote, and what is wrong with others."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssul.convert.annotations import Annotations
from ssul.convert.labelme import read_labelme
from ssul.data.image_files import UnreadableImageError
from ssul.errors import UserError

HEIGHT, WIDTH = 16, 20
FILE = Path(__file__).with_name("labelme_6.3.1.json")
"""Written by `LabelFile.save` of LabelMe 6.3.1: one shape of each kind that has an area, and a line."""
# what its `shapes_to_label` draws of them, the larger first
PAINTED = (
    "....................|.cccccccccc.........|.cccccccccc.dddddddd|.ccdcdccccc.dddddddd|..cdddccccc.dddddddd|"
    "..cccccccc..dddddddd|..cccccccc..dddddddd|..cccccccc..dddddddd|....ddd..c..dddddddd|...ddddd....dddddddd|"
    "...ddddd............|...ddddd......ccccc.|iiiiddd.......ccccc.|iiii..........ccccc.|iiii..........ccccc.|"
    "iiii................"
)


def stored_image(kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(file, kind, **options)
    return file.getvalue()


def folder_of(root: Path, file: Any = None, **changes: Any) -> Path:
    """A folder with an image and its annotation."""
    content = json.loads(FILE.read_text(encoding="utf-8")) if file is None else file
    (root / "a.png").write_bytes(stored_image())
    (root / "a.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")
    return root


def painted(found: Annotations) -> list[list[int]]:
    (image,) = found.images
    return image.paint(HEIGHT, WIDTH).tolist()


def test_a_file_of_labelmes_own_writer_is_painted_as_its_own_tools_do(tmp_path: Path) -> None:
    found = read_labelme(folder_of(tmp_path), None)
    values = {".": 0, "c": 1, "d": 2, "i": 255}
    assert found.classes == ("cat", "dog")
    assert painted(found) == [[values[letter] for letter in line] for line in PAINTED.split("|")]
    assert +found.notes == {"points and lines have no area and are left out": 1}


def test_classes_in_an_order_of_ones_own_have_its_values_and_other_labels_are_named(tmp_path: Path) -> None:
    folder_of(tmp_path)
    assert 3 in np.unique(painted(read_labelme(tmp_path, ["dog", "bird", "cat"])))
    with pytest.raises(UnreadableImageError, match="the label 'cat' is not one of the classes"):
        painted(read_labelme(tmp_path, ["dog"]))


@pytest.mark.parametrize("said", ["a.png", "..\\other\\a.png", "/home/somebody/a.png"])
def test_the_image_is_found_where_it_is_said_or_beside_the_annotation(tmp_path: Path, said: str) -> None:
    (image,) = read_labelme(folder_of(tmp_path, imagePath=said), None).images
    assert (image.name, image.image) == ("a.png", tmp_path / "a.png")


def test_an_image_that_lies_only_in_the_annotation_is_taken_from_there(tmp_path: Path) -> None:
    folder_of(tmp_path, imageData=base64.b64encode(stored_image("JPEG")).decode())
    (tmp_path / "a.png").unlink()
    (image,) = read_labelme(tmp_path, None).images
    assert image.image == stored_image("JPEG")


def test_an_annotation_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder_of(tmp_path)
    (tmp_path / "b.json").write_text("{", encoding="utf-8")
    (tmp_path / "c.json").write_text(json.dumps({"shapes": [], "imagePath": "c.png"}), encoding="utf-8")
    found = read_labelme(tmp_path, None)
    assert [image.name for image in found.images] == ["a.png"]
    assert "is damaged" in found.broken["b.json"]
    assert found.broken["c.json"] == f"no image at {tmp_path / 'c.png'}"


def test_an_image_that_labelme_turns_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder_of(tmp_path) / "a.png").write_bytes(stored_image(exif=exif))
    with pytest.raises(UnreadableImageError, match="EXIF orientation, by which LabelMe turns it"):
        painted(read_labelme(tmp_path, None))


TRIANGLE = [[0, 0], [4, 0], [4, 4]]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"points": TRIANGLE[:2]}, "a polygon has 2 points"),
        ({"points": TRIANGLE, "shape_type": "circle"}, "a circle has 3 points"),
        ({"points": TRIANGLE, "shape_type": "cube"}, "the shape 'cube' is none of polygon, "),
        ({"points": [*TRIANGLE, [1e12, 0]]}, "lies far outside the image"),
        ({"points": TRIANGLE[::2], "shape_type": "mask", "mask": "?"}, "the PNG of a mask is damaged"),
        ({"points": TRIANGLE[::2], "shape_type": "mask"}, "unreadable mask"),
        (
            {
                "points": TRIANGLE[::2],
                "shape_type": "mask",
                "mask": base64.b64encode(stored_image()).decode(),
            },
            "a mask must be an 8-bit palette or grey image",
        ),
    ],
)
def test_shapes_that_cannot_be_drawn_are_named(tmp_path: Path, shape: dict[str, Any], words: str) -> None:
    found = read_labelme(folder_of(tmp_path, shapes=[{"label": "cat", **shape}]), None)
    with pytest.raises(UnreadableImageError, match=words):
        painted(found)


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no \.json"):
        read_labelme(tmp_path, None)
    with pytest.raises(UserError, match="is not a folder"):
        read_labelme(tmp_path / "nowhere", None)
