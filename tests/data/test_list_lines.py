"""Image lists as people have them."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.layout import SplitFiles, read_image_list
from ssul.data.list_lines import listed_ids
from ssul.errors import UserError

IMAGE, MASK = "JPEGImages/{id}.jpg", "SegmentationClass/{id}_gt.png"


@pytest.mark.parametrize(
    "line",
    [
        "town/a b",
        "  town/a b\t",
        "town/a b.jpg",
        "./town/a b.jpg",
        "town/a b_gt.png",
        "JPEGImages/town/a b.jpg",
        "/JPEGImages/town/a b.jpg",
        "/data/voc/JPEGImages/town/a b.jpg",
        "SegmentationClass/town/a b_gt.png",
        "JPEGImages/town/a b.jpg SegmentationClass/town/a b_gt.png",
        "/JPEGImages/town/a b.jpg\t/SegmentationClass/town/a b_gt.png",
        "x/JPEGImages/town/a b.jpg, y/SegmentationClass/town/a b_gt.png",
        "town/a b.jpg;town/a b_gt.png",
    ],
)
def test_every_form_of_a_line_names_the_same_image(line: str) -> None:
    assert list(listed_ids(["# images", "", line], IMAGE, MASK)) == ["town/a b"]


def test_a_template_that_ends_with_the_id_leaves_suffixes_alone() -> None:
    assert list(listed_ids(["a.jpg", "images/b.png"], "images/{id}", "masks/{id}.png")) == ["a.jpg", "b.png"]


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="#/.,;"), min_size=1))
def test_an_id_without_dots_and_separators_is_itself(image_id: str) -> None:
    assert list(listed_ids([image_id], IMAGE, MASK)) == [image_id]


def test_two_columns_of_two_images_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\nimages/b.jpg labels/b_gt.png\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"train\.txt cannot be used: line 2 names images/b and labels/b, which are not"
    ):
        read_image_list(tmp_path / "train.txt", SplitFiles(IMAGE, MASK))


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_list_that_a_windows_editor_calls_unicode_is_read(tmp_path: Path, mark: bytes) -> None:
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    (tmp_path / "train.txt").write_bytes(mark + "straße\r\nb\r\n".encode(encoding))
    assert read_image_list(tmp_path / "train.txt", SplitFiles(IMAGE, MASK)) == ["straße", "b"]
