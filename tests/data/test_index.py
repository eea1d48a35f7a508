"""The index: what every mask shows, and everything that is wrong with the files, told at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ssul.data.index import ImageIndex, IndexRow, index_images, require_unchanged
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import PictureBook

MASK = [[0, 0, 1, 3], [255, 3, 3, 255], [0, 1, 3, 255]]  # 3 background, 2 of class 1, 4 of class 3, 3 void
SALIENCY = np.zeros((3, 4))


def indexed(
    book: "PictureBook", ids: Sequence[str], *, classes: int = 3, saliency: bool = False
) -> tuple[IndexRow, ...]:
    return tuple(index_images(book.folders, ids, classes=classes, saliency=saliency))


def refusal(book: "PictureBook", *ids: str, saliency: bool = False) -> str:
    with pytest.raises(UserError) as refused:
        indexed(book, ids, saliency=saliency)
    return str(refused.value)


# --- what is counted --------------------------------------------------------------------------------------------------


def test_every_pixel_of_a_mask_is_counted(book: "PictureBook") -> None:
    book.add("a", MASK)
    (row,) = indexed(book, ["a"])
    assert (row.id, row.height, row.width) == ("a", 3, 4)
    assert row.pixels == {0: 3, 1: 2, 3: 4}
    assert row.void == 3
    assert row.present == (1, 3)


def test_a_mask_of_background_and_void_shows_no_class(book: "PictureBook") -> None:
    book.add("a", [[0, 255]])
    book.add("b", [[255, 255]])
    a, b = indexed(book, ["a", "b"])
    assert (a.pixels, a.void, a.present) == ({0: 1}, 1, ())
    assert (b.pixels, b.void, b.present) == ({}, 2, ())


def test_a_grey_mask_is_as_good_as_a_palette_mask(book: "PictureBook") -> None:
    book.add("a", MASK)
    (palette,) = indexed(book, ["a"])
    Image.fromarray(np.array(MASK, dtype=np.uint8)).save(book.folders.mask("a"))
    (grey,) = indexed(book, ["a"])
    assert (grey.pixels, grey.void) == (palette.pixels, palette.void)


def test_rows_stand_in_the_order_of_the_list(book: "PictureBook") -> None:
    names = [f"{number:02d}" for number in range(12)]
    for number, name in enumerate(names):
        book.add(name, [[number % 4] * (number + 1)])
    backwards = names[::-1]
    assert [(row.id, row.width) for row in indexed(book, backwards)] == [(name, int(name) + 1) for name in backwards]


def test_the_digest_changes_with_any_of_the_files(book: "PictureBook") -> None:
    def digest() -> str:
        return indexed(book, ["a"], saliency=True)[0].digest

    book.add("a", MASK, saliency=SALIENCY)
    digests = [digest()]
    book.add("a", MASK, saliency=SALIENCY + 1)
    digests.append(digest())
    book.add("a", MASK, saliency=SALIENCY, image=np.full((3, 4, 3), 200))
    digests.append(digest())
    book.add("a", np.array(MASK)[::-1], saliency=SALIENCY, image=np.full((3, 4, 3), 200))
    digests.append(digest())
    assert len(set(digests)) == 4
    book.add("a", MASK, saliency=SALIENCY)
    assert digest() == digests[0]


# --- the file ---------------------------------------------------------------------------------------------------------


def whole_index(book: "PictureBook") -> ImageIndex:
    book.add("a", MASK)
    book.add("b", [[2]])
    book.add("c", [[0, 255]])
    return ImageIndex("toy", ("ball", "star", "hat"), indexed(book, ["b", "a", "c"]))


def test_an_index_is_read_as_it_was_written(book: "PictureBook", tmp_path: Path) -> None:
    index = whole_index(book)
    index.write(tmp_path / "index" / "train.json")
    assert ImageIndex.read(tmp_path / "index" / "train.json") == index
    assert index.present == {"b": (2,), "a": (1, 3), "c": ()}


def test_the_same_pictures_give_the_same_bytes(book: "PictureBook", tmp_path: Path) -> None:
    paths = [tmp_path / "one.json", tmp_path / "two.json", tmp_path / "again.json"]
    for path in paths[:2]:
        whole_index(book).write(path)
    ImageIndex.read(paths[0]).write(paths[2])
    assert len({path.read_bytes() for path in paths}) == 1


def test_an_index_has_a_line_for_each_image(book: "PictureBook", tmp_path: Path) -> None:
    whole_index(book).write(tmp_path / "train.json")
    lines = (tmp_path / "train.json").read_text(encoding="utf-8").splitlines()
    assert [line[:4] for line in lines if line.startswith('["')] == ['["b"', '["a"', '["c"']


def test_an_index_without_images_is_still_json(tmp_path: Path) -> None:
    empty = ImageIndex("toy", ("ball",), ())
    empty.write(tmp_path / "train.json")
    assert ImageIndex.read(tmp_path / "train.json") == empty


def test_a_missing_index_is_refused_with_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.json is missing: run `dvc repro prepare`"):
        ImageIndex.read(tmp_path / "train.json")


# --- what is wrong with files -----------------------------------------------------------------------------------------


def test_a_missing_image_is_a_fault(book: "PictureBook") -> None:
    book.add("a", MASK)
    book.folders.image("a").unlink()
    assert f"a: no image at {book.folders.image('a')}" in refusal(book, "a")


def test_a_missing_mask_is_a_fault(book: "PictureBook") -> None:
    book.add("a", MASK)
    book.folders.mask("a").unlink()
    assert f"a: no mask at {book.folders.mask('a')}" in refusal(book, "a")


def test_a_missing_saliency_map_is_a_fault_only_where_it_is_needed(book: "PictureBook") -> None:
    book.add("a", MASK)
    assert len(indexed(book, ["a"])) == 1
    assert f"a: no saliency map at {book.folders.saliency('a')}" in refusal(book, "a", saliency=True)


def test_a_mask_of_another_size_is_a_fault(book: "PictureBook") -> None:
    book.add("a", MASK, image=np.zeros((4, 3, 3)))
    assert "a: the image is 3x4, its mask 4x3 pixels" in refusal(book, "a")


def test_a_saliency_map_of_another_size_is_a_fault(book: "PictureBook") -> None:
    book.add("a", MASK, saliency=SALIENCY.T)
    assert "a: its saliency map has another size than its mask" in refusal(book, "a", saliency=True)


def test_a_value_that_is_no_class_is_a_fault(book: "PictureBook") -> None:
    book.add("a", [[0, 3, 4, 254, 255]])
    assert "a: its mask holds [4, 254], valid are 0..3 and 255 (void)" in refusal(book, "a")


@pytest.mark.parametrize("mode", ["RGB", "I;16", "1", "LA"])
def test_a_mask_of_another_mode_is_a_fault(book: "PictureBook", mode: str) -> None:
    book.add("a", MASK)
    Image.new(mode, (4, 3)).save(book.folders.mask("a"))
    assert f"a.png: a mask must be an 8-bit palette or grey picture, this one is {mode}" in refusal(book, "a")


def test_a_file_that_is_no_picture_is_a_fault(book: "PictureBook") -> None:
    for name in ("a", "b"):
        book.add(name, MASK)
    book.folders.image("a").write_text("a web page that says 404")
    book.folders.mask("b").write_bytes(b"")
    told = refusal(book, "a", "b")
    assert "a.jpg: unreadable image" in told
    assert "b.png: unreadable mask" in told


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_mask_that_is_cut_off_is_a_fault(book: "PictureBook", share: float) -> None:
    book.add("a", np.random.default_rng(0).integers(0, 4, (40, 50)))
    path = book.folders.mask("a")
    content = path.read_bytes()
    path.write_bytes(content[: 900 + int(share * (len(content) - 900))])  # the palette comes first
    assert "a.png: unreadable mask" in refusal(book, "a")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_image_that_is_cut_off_is_a_fault(book: "PictureBook", share: float) -> None:
    """Half a download: better told here than in the middle of a training."""
    photograph = np.random.default_rng(0).integers(0, 256, (40, 50, 3))
    book.add("a", np.zeros((40, 50)), image=photograph)
    path = book.folders.image("a")
    content = path.read_bytes()
    path.write_bytes(content[: 700 + int(share * (len(content) - 700))])  # the size stands in the first 700 bytes
    assert "a.jpg: unreadable image" in refusal(book, "a")


def test_all_faults_are_told_at_once_with_the_way_out(book: "PictureBook") -> None:
    for name in ("good", "foreign", "turned"):
        book.add(name, MASK if name != "foreign" else [[9]], image=np.zeros((4, 3, 3)) if name == "turned" else None)
    told = refusal(book, "good", "foreign", "turned", "missing")
    assert told.startswith(f"3 of 4 images of {book.folders.root} cannot be used: ")
    assert "good:" not in told
    for fault in ("foreign: its mask holds [9]", "turned: the image is 3x4", "missing: no image at"):
        assert fault in told
    assert "Mend the files, or take the ids out of the image list" in told
    assert "\n" not in told


def test_a_hundred_faults_are_counted_and_eight_are_named(book: "PictureBook") -> None:
    told = refusal(book, *(f"image_{number:03d}" for number in range(100)))
    assert "100 of 100 images" in told
    assert told.count("no image at") == 8
    assert "and 92 more" in told


# --- files that change after they were indexed ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
def test_a_file_that_is_gone_is_found_before_training(book: "PictureBook", kind: str) -> None:
    book.add("a", MASK, saliency=SALIENCY)
    book.add("b", MASK, saliency=SALIENCY)
    rows = indexed(book, ["a", "b"], saliency=True)
    require_unchanged(rows, book.folders, saliency=True)
    path = getattr(book.folders, kind)("b")
    path.unlink()
    require_unchanged(rows[:1], book.folders, saliency=True)
    with pytest.raises(UserError, match=f"{path.name} is in the index but not on disk"):
        require_unchanged(rows, book.folders, saliency=True)


def test_a_file_that_changed_is_found_before_training(book: "PictureBook") -> None:
    book.add("a", MASK)
    rows = indexed(book, ["a"])
    book.add("a", [[0, 1, 2, 3] * 30] * 90)
    with pytest.raises(UserError, match=r"a\.jpg.*has changed since it was indexed"):
        require_unchanged(rows, book.folders, saliency=False)
