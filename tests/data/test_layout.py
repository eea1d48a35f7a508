"""Where the files of an image lie below a data root, and how image lists are read."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssul.data.layout import VocFolders
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import PictureBook


def test_files_lie_where_voc_and_its_augmented_masks_have_them() -> None:
    folders = VocFolders(Path("/voc"))
    assert folders.image("2007_000032") == Path("/voc/JPEGImages/2007_000032.jpg")
    assert folders.mask("2007_000032") == Path("/voc/SegmentationClassAug/2007_000032.png")
    assert folders.saliency("2007_000032") == Path("/voc/saliency_map/2007_000032.png")
    assert folders.image_list("train_aug") == Path("/voc/ImageSets/Segmentation/train_aug.txt")


def test_a_list_is_read_in_its_order(book: "PictureBook") -> None:
    book.list_images("val", ["b", "a", "c"])
    assert book.folders.read_list("val") == ["b", "a", "c"]


def test_blank_lines_spaces_and_windows_line_ends_are_overlooked(book: "PictureBook") -> None:
    book.list_images("val", ["b \r", "", "  a\r", "  "])
    assert book.folders.read_list("val") == ["b", "a"]


def test_a_data_root_that_is_no_folder_is_refused_with_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root '.*nowhere' is no folder.*JPEGImages.*-S data\.root=FOLDER"):
        VocFolders(tmp_path / "nowhere").read_list("val")


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image list .*val\.txt is missing"):
        VocFolders(tmp_path).read_list("val")


def test_an_empty_list_is_refused(book: "PictureBook") -> None:
    book.list_images("val", ["", " "])
    with pytest.raises(UserError, match=r"image list .*val\.txt is empty"):
        book.folders.read_list("val")


def test_images_that_are_listed_twice_are_refused_by_name(book: "PictureBook") -> None:
    book.list_images("val", ["a", "b", "c", "b", "a", "a"])
    with pytest.raises(UserError, match=r"val\.txt names images twice: a, b$"):
        book.folders.read_list("val")
