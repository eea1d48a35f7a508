"""Looking at every picture once: what masks show, everything that is wrong, and what is remembered of it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets import scan as examine
from ssul.datasets.scan import ImageProblem, refuse, scan_images, scan_masks
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.errors import UserError
from ssul.labels.ids import VOID

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

MASK = [[0, 0, 1, 3], [255, 3, 3, 255], [0, 1, 3, 255]]  # 3 background, 2 of class 1, 4 of class 3, 3 void
SALIENCY = np.zeros((3, 4))
USUAL = MaskEncoding()


def looked_at(
    book: "HandmadeDataset",
    ids: Sequence[str],
    *,
    classes: int = 3,
    values: MaskEncoding = USUAL,
    saliency: bool = False,
    memo: ScanCache | None = None,
) -> list[IndexRow | ImageProblem]:
    memo = ScanCache(None) if memo is None else memo
    return list(scan_images(book.folders, ids, classes=classes, values=values, saliency=saliency, memo=memo))


def row_of(book: "HandmadeDataset", image_id: str, *, saliency: bool = False, values: MaskEncoding = USUAL) -> IndexRow:
    (row,) = looked_at(book, [image_id], saliency=saliency, values=values)
    assert isinstance(row, IndexRow), row
    return row


def fault_of(book: "HandmadeDataset", image_id: str, *, saliency: bool = False, values: MaskEncoding = USUAL) -> str:
    (fault,) = looked_at(book, [image_id], saliency=saliency, values=values)
    assert isinstance(fault, ImageProblem), fault
    assert fault.id == image_id
    assert "\n" not in fault.what
    return fault.what


# --- what is counted --------------------------------------------------------------------------------------------------


def test_every_pixel_of_a_mask_is_counted(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    row = row_of(book, "a")
    assert (row.id, row.height, row.width) == ("a", 3, 4)
    assert row.pixels == {0: 3, 1: 2, 3: 4}
    assert row.void == 3
    assert row.present == (1, 3)


def test_a_mask_of_background_and_void_shows_no_class(book: "HandmadeDataset") -> None:
    book.add("a", [[0, 255]])
    book.add("b", [[255, 255]])
    a, b = row_of(book, "a"), row_of(book, "b")
    assert (a.pixels, a.void, a.present) == ({0: 1}, 1, ())
    assert (b.pixels, b.void, b.present) == ({}, 2, ())


def test_a_grey_mask_is_as_good_as_a_palette_mask(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    palette = row_of(book, "a")
    Image.fromarray(np.array(MASK, dtype=np.uint8)).save(book.folders.mask("a"))
    grey = row_of(book, "a")
    assert (grey.pixels, grey.void) == (palette.pixels, palette.void)
    assert grey.digest != palette.digest


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photographs_may_be_coloured_grey_or_made_for_print(book: "HandmadeDataset", mode: str) -> None:
    book.add("a", MASK)
    Image.new(mode, (4, 3)).save(book.folders.image("a"))
    with Image.open(book.folders.image("a")) as photograph:
        assert photograph.mode == mode
    assert row_of(book, "a").present == (1, 3)


def test_rows_stand_in_the_order_of_the_list(book: "HandmadeDataset") -> None:
    names = [f"{number:02d}" for number in range(12)]
    for number, name in enumerate(names):
        book.add(name, [[number % 4] * (number + 1)])
    rows = [row for row in looked_at(book, names[::-1]) if isinstance(row, IndexRow)]
    assert [(row.id, row.width) for row in rows] == [(name, int(name) + 1) for name in names[::-1]]


def test_the_bytes_are_those_of_all_files_that_are_used(book: "HandmadeDataset") -> None:
    book.add("a", MASK, saliency=SALIENCY)
    image, mask, saliency = (path.stat().st_size for path in book.folders.files_of("a", saliency=True))
    assert row_of(book, "a").bytes == image + mask
    assert row_of(book, "a", saliency=True).bytes == image + mask + saliency


def test_the_digest_changes_with_any_of_the_files(book: "HandmadeDataset") -> None:
    def digest() -> str:
        return row_of(book, "a", saliency=True).digest

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


# --- what values mean -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (MaskEncoding(), {0: 0, 1: 1, 2: 2, 255: VOID}),
        (MaskEncoding(void=None), {0: 0, 1: 1, 2: 2}),
        (MaskEncoding(first=5, void=1), {0: 0, 5: 1, 6: 2, 1: VOID}),
        (MaskEncoding(background=False, first=0), {0: 1, 1: 2, 255: VOID}),
        (MaskEncoding(background=False, first=0, void=None), {0: 1, 1: 2}),
        (MaskEncoding(background=False, first=1, void=0), {1: 1, 2: 2, 0: VOID}),
    ],
)
def test_what_values_mean_by_hand(values: MaskEncoding, ids: dict[int, int]) -> None:
    assert values.ids(2) == ids


def test_raw_values_are_counted_as_ids(book: "HandmadeDataset") -> None:
    book.add("a", [[0, 1, 1, 2, 2, 2]])
    own = row_of(book, "a", values=MaskEncoding(background=False, first=1, void=0))
    assert (own.pixels, own.void, own.present) == ({1: 2, 2: 3}, 1, (1, 2))
    first_is_zero = row_of(book, "a", values=MaskEncoding(background=False, first=0))
    assert (first_is_zero.pixels, first_is_zero.void) == ({1: 1, 2: 2, 3: 3}, 0)
    assert row_of(book, "a").pixels == {0: 1, 1: 2, 2: 3}


@given(st.data())
def test_counting_raw_values_is_counting_mapped_pixels(data: st.DataObject) -> None:
    background, void = data.draw(st.booleans()), data.draw(st.sampled_from([None, 200, 255]))
    values = MaskEncoding(background, data.draw(st.integers(int(background), 9)), void)
    meaning = values.ids(5)
    pixels = data.draw(st.lists(st.sampled_from(sorted(meaning)), min_size=1, max_size=20))
    ids = [meaning[value] for value in pixels]
    shown = examine._shown(np.array([pixels], dtype=np.uint8), 5, values)
    expected = {class_id: ids.count(class_id) for class_id in sorted(set(ids)) if class_id != VOID}
    assert (list(shown.pixels.items()), shown.void) == (list(expected.items()), ids.count(VOID))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (MaskEncoding(), "its mask holds [4, 9], valid are 0..3 and 255 (void)"),
        (MaskEncoding(void=None), "its mask holds [4, 9], valid are 0..3"),
        (MaskEncoding(background=False), "its mask holds [0, 4, 9], valid are 1..3 and 255 (void)"),
        (MaskEncoding(background=False, first=0), "its mask holds [3, 4, 9], valid are 0..2 and 255 (void)"),
        (MaskEncoding(background=False, void=0), "its mask holds [4, 9], valid are 1..3 and 0 (void)"),
        (MaskEncoding(first=7, void=200), "its mask holds [1, 2, 3, 4], valid are 0, 7..9 and 200 (void)"),
    ],
)
def test_a_value_that_means_nothing_is_a_fault(book: "HandmadeDataset", values: MaskEncoding, words: str) -> None:
    book.add("a", [[0, 1, 2, 3, 4, 9]])
    assert fault_of(book, "a", values=values) == words


# --- what is wrong with files -----------------------------------------------------------------------------------------


def test_a_missing_image_is_a_fault(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    book.folders.image("a").unlink()
    assert fault_of(book, "a") == "no image at JPEGImages/a.jpg"


def test_a_missing_mask_is_a_fault(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    book.folders.mask("a").unlink()
    assert fault_of(book, "a") == "no mask at SegmentationClassAug/a.png"


def test_a_missing_saliency_map_is_a_fault_only_where_it_is_needed(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    assert row_of(book, "a")
    assert fault_of(book, "a", saliency=True) == "no saliency map at saliency_map/a.png"


def test_a_folder_in_place_of_a_file_is_a_fault(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    book.folders.mask("a").unlink()
    book.folders.mask("a").mkdir()
    assert fault_of(book, "a") == "unreadable mask (no regular file)"


def test_only_a_map_that_is_not_there_is_a_map_that_lacks(book: "HandmadeDataset") -> None:
    for name in ("a", "b", "c"):
        book.add(name, MASK)
    book.folders.mask("b").unlink()
    book.folders.saliency("c").mkdir(parents=True)
    found = looked_at(book, ["a", "b", "c"], saliency=True)
    assert [isinstance(one, ImageProblem) and one.lacks_map for one in found] == [True, False, False]


def test_the_same_faults_elsewhere_are_told_in_the_same_words(book: "HandmadeDataset", tmp_path: Path) -> None:
    book.add("a", MASK)
    book.add("b", MASK)
    book.add("c", MASK)
    book.folders.image("a").unlink()
    book.folders.mask("b").unlink()
    book.folders.mask("b").mkdir()
    before = looked_at(book, ["a", "b", "c"], saliency=True)
    moved = type(book)(ImagePaths(tmp_path / "moved", book.folders.files))
    book.root.rename(moved.root)
    assert looked_at(moved, ["a", "b", "c"], saliency=True) == before


def test_a_mask_of_another_size_is_a_fault(book: "HandmadeDataset") -> None:
    book.add("a", MASK, image=np.zeros((4, 3, 3)))
    assert fault_of(book, "a") == "the image is 3x4, its mask 4x3 pixels"


def test_a_saliency_map_of_another_size_is_a_fault(book: "HandmadeDataset") -> None:
    book.add("a", MASK, saliency=SALIENCY.T)
    assert fault_of(book, "a", saliency=True) == "its saliency map has another size than its mask"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "1", "LA"])
def test_a_mask_of_another_mode_is_a_fault(book: "HandmadeDataset", mode: str) -> None:
    book.add("a", MASK)
    Image.new(mode, (4, 3)).save(book.folders.mask("a"))
    assert fault_of(book, "a") == f"a mask must be an 8-bit palette or grey picture, this one is {mode}"


def test_a_saliency_map_of_another_mode_is_a_fault(book: "HandmadeDataset") -> None:
    book.add("a", MASK, saliency=SALIENCY)
    Image.new("RGB", (4, 3)).save(book.folders.saliency("a"))
    told = fault_of(book, "a", saliency=True)
    assert told == "a saliency map must be an 8-bit palette or grey picture, this one is RGB"


def test_a_file_that_is_no_picture_is_a_fault(book: "HandmadeDataset") -> None:
    for name in ("a", "b"):
        book.add(name, MASK)
    book.folders.image("a").write_text("a web page that says 404")
    book.folders.mask("b").write_bytes(b"")
    assert fault_of(book, "a") == "unreadable image (not a JPEG or PNG picture)"
    assert fault_of(book, "b") == "unreadable mask (not a JPEG or PNG picture)"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_mask_that_is_cut_off_is_a_fault(book: "HandmadeDataset", share: float) -> None:
    book.add("a", np.random.default_rng(0).integers(0, 4, (40, 50)))
    path = book.folders.mask("a")
    content = path.read_bytes()
    path.write_bytes(content[: 900 + int(share * (len(content) - 900))])  # the palette comes first
    assert fault_of(book, "a").startswith("unreadable mask (")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_image_that_is_cut_off_is_a_fault(book: "HandmadeDataset", share: float) -> None:
    """Half a download: better told here than in the middle of a training."""
    photograph = np.random.default_rng(0).integers(0, 256, (40, 50, 3))
    book.add("a", np.zeros((40, 50)), image=photograph)
    path = book.folders.image("a")
    content = path.read_bytes()
    path.write_bytes(content[: 700 + int(share * (len(content) - 700))])  # the size stands in the first 700 bytes
    assert fault_of(book, "a").startswith("unreadable image (")


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_is_wrong_with_the_bytes_of_a_file_is_a_fault_or_not_but_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "mask.png"
    if not path.exists():
        Image.fromarray(np.array(MASK, dtype=np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[int(place * len(content))] = value
    (found,) = scan_masks([("a", bytes(content))], classes=3, values=USUAL, memo=ScanCache(None))
    assert isinstance(found, ImageProblem) or isinstance(found[1], MaskStatistics)


def test_faults_stand_among_the_rows_in_the_order_of_the_list(book: "HandmadeDataset") -> None:
    ids = [f"{number:02d}" for number in range(40)]
    for number, name in enumerate(ids):
        book.add(name, [[9 if number % 3 == 0 else 1]])
    found = looked_at(book, ids)
    assert [one.id for one in found] == ids
    assert [isinstance(one, ImageProblem) for one in found] == [number % 3 == 0 for number in range(40)]


# --- refusing ---------------------------------------------------------------------------------------------------------


def refusal(faults: Sequence[ImageProblem], listed: Path | None = None) -> str:
    with pytest.raises(UserError) as refused:
        refuse(faults, of=100, where=Path("/data/voc"), way_out="Mend the files, or wait", listed=listed)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_all_faults_are_told_at_once_with_the_way_out() -> None:
    told = refusal(
        [ImageProblem("b", "no mask at b.png"), ImageProblem("a", "unreadable image (not a JPEG or PNG picture)")]
    )
    assert told == (
        "2 of 100 images of /data/voc cannot be used: b: no mask at b.png; a: unreadable image (not a JPEG or PNG "
        "picture). Mend the files, or wait"
    )


def test_a_hundred_faults_are_counted_and_eight_are_named() -> None:
    faults = [ImageProblem(f"image_{number:03d}", "no mask") for number in range(100)]
    told = refusal(faults)
    assert told.startswith("100 of 100 images")
    assert told.count("no mask") == 8
    assert "; and 92 more. Mend" in told
    assert "; and 92 more, all listed in cache/unusable.txt. Mend" in refusal(faults, Path("cache/unusable.txt"))


# --- masks alone ------------------------------------------------------------------------------------------------------


def test_masks_alone_show_what_they_show_with_their_images(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    book.add("b", [[9]])
    masks = [(name, book.folders.mask(name).read_bytes()) for name in ("b", "a")]
    fault, found = scan_masks(masks, classes=3, values=USUAL, memo=ScanCache(None))
    assert fault == ImageProblem("b", "its mask holds [9], valid are 0..3 and 255 (void)")
    assert found == ("a", MaskStatistics(3, 4, {0: 3, 1: 2, 3: 4}, 3))
    assert isinstance(found, tuple)
    assert found[1].present == (1, 3)


# --- what is remembered -----------------------------------------------------------------------------------------------

IDS = ["a", "b", "c"]


@pytest.fixture
def pictures(book: "HandmadeDataset") -> "HandmadeDataset":
    for number, name in enumerate(IDS):
        book.add(name, [[number, 1, 255]], saliency=[[0, 0, 255]])
    return book


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index.jsonl"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is decoded from now on."""
    kinds: list[str] = []
    decode = examine._decoded
    monkeypatch.setattr(examine, "_decoded", lambda content, what: kinds.append(what) or decode(content, what))
    return kinds


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: bytes, what: str) -> Image.Image:
        raise AssertionError(f"a {what} is decoded")

    monkeypatch.setattr(examine, "_decoded", fail)


def test_a_second_pass_decodes_nothing_and_finds_the_same(
    pictures: "HandmadeDataset", notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = looked_at(pictures, IDS, saliency=True, memo=ScanCache(notebook))
    content = notebook.read_bytes()
    forbid_decoding(monkeypatch)
    assert looked_at(pictures, IDS[::-1], saliency=True, memo=ScanCache(notebook)) == first[::-1]
    assert notebook.read_bytes() == content


def test_a_second_pass_over_masks_alone_decodes_nothing(
    pictures: "HandmadeDataset", notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> list[tuple[str, MaskStatistics] | ImageProblem]:
        masks = ((name, pictures.folders.mask(name).read_bytes()) for name in IDS)
        return list(scan_masks(masks, classes=3, values=USUAL, memo=ScanCache(notebook)))

    first = look()
    forbid_decoding(monkeypatch)
    assert look() == first


def test_what_older_code_found_out_is_not_believed(
    pictures: "HandmadeDataset", notebook: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    looked_at(pictures, IDS, memo=ScanCache(notebook))
    decoded.clear()
    monkeypatch.setattr(examine, "_FINDINGS", examine._FINDINGS + 1)
    looked_at(pictures, IDS, memo=ScanCache(notebook))
    assert len(decoded) == 6


def test_the_content_is_remembered_and_not_the_name(
    pictures: "HandmadeDataset", notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = looked_at(pictures, ["a"], memo=ScanCache(notebook))
    for place in (pictures.folders.image, pictures.folders.mask):
        place("a").rename(place("renamed"))
    forbid_decoding(monkeypatch)
    (renamed,) = looked_at(pictures, ["renamed"], memo=ScanCache(notebook))
    assert isinstance(row, IndexRow)
    assert isinstance(renamed, IndexRow)
    assert (renamed.id, renamed.pixels, renamed.digest) == ("renamed", row.pixels, row.digest)


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
def test_a_changed_file_is_looked_at_anew_and_no_other_is(
    pictures: "HandmadeDataset", notebook: Path, kind: str, decoded: list[str]
) -> None:
    before = looked_at(pictures, IDS, saliency=True, memo=ScanCache(notebook))
    assert len(decoded) == 9
    changed = {"image": [[[200] * 3] * 3], "mask": [[3, 3, 255]], "saliency": [[9, 9, 9]]}
    defaults = {"image": None, "mask": [[1, 1, 255]], "saliency": [[0, 0, 255]]}
    pictures.add("b", **{**defaults, kind: changed[kind]})
    decoded.clear()
    after = looked_at(pictures, IDS, saliency=True, memo=ScanCache(notebook))
    assert sorted(decoded) == ["image", "mask", "saliency map"]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]


@pytest.mark.parametrize(
    "otherwise",
    [
        {"classes": 4},
        {"values": MaskEncoding(void=None, background=False, first=0)},
        {"values": MaskEncoding(void=254)},
        {"saliency": False},
    ],
)
def test_another_question_about_the_same_files_is_asked_anew(
    pictures: "HandmadeDataset", notebook: Path, decoded: list[str], otherwise: dict[str, object]
) -> None:
    asked: dict[str, object] = {"classes": 3, "values": USUAL, "saliency": True}
    looked_at(pictures, IDS, **asked, memo=ScanCache(notebook))  # type: ignore[arg-type]
    decoded.clear()
    found = looked_at(pictures, IDS, **{**asked, **otherwise}, memo=ScanCache(notebook))  # type: ignore[arg-type]
    assert decoded.count("mask") == 3
    assert found == looked_at(pictures, IDS, **{**asked, **otherwise})  # type: ignore[arg-type]


def test_an_empty_saliency_map_is_a_fault_though_the_image_is_known_without_it(
    pictures: "HandmadeDataset", notebook: Path
) -> None:
    looked_at(pictures, IDS, memo=ScanCache(notebook))
    pictures.folders.saliency("b").write_bytes(b"")
    found = looked_at(pictures, IDS, saliency=True, memo=ScanCache(notebook))
    assert found[1] == ImageProblem("b", "unreadable saliency map (not a JPEG or PNG picture)")


def test_faults_are_never_remembered(pictures: "HandmadeDataset", notebook: Path, decoded: list[str]) -> None:
    pictures.add("b", [[9, 9, 255]])
    for _ in range(2):
        decoded.clear()
        assert looked_at(pictures, ["b"], memo=ScanCache(notebook)) == [
            ImageProblem("b", "its mask holds [9], valid are 0..3 and 255 (void)")
        ]
        assert decoded
    assert not notebook.exists()


def test_without_a_file_nothing_is_kept(pictures: "HandmadeDataset", tmp_path: Path, decoded: list[str]) -> None:
    before = set(tmp_path.rglob("*"))
    looked_at(pictures, IDS, memo=ScanCache(None))
    looked_at(pictures, IDS, memo=ScanCache(None))
    assert decoded.count("mask") == 6
    assert set(tmp_path.rglob("*")) == before


def test_a_line_that_a_kill_cut_off_is_overlooked_and_only_its_image_is_looked_at_again(
    pictures: "HandmadeDataset", notebook: Path, decoded: list[str]
) -> None:
    first = looked_at(pictures, IDS, memo=ScanCache(notebook))
    whole = notebook.read_bytes().rstrip(b"\n")
    last = len(whole) - whole.rindex(b"\n") - 1
    for cut in range(1, last):
        notebook.write_bytes(whole[:-cut])
        decoded.clear()
        assert looked_at(pictures, IDS, memo=ScanCache(notebook)) == first
        assert decoded.count("mask") == 1
        decoded.clear()
        assert looked_at(pictures, IDS, memo=ScanCache(notebook)) == first  # what was appended behind the cut is read
        assert decoded == []


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"5\n",
        b"null\n",
        b'{"a": 1}\n',
        b'["key", 1, 2, 3, 4]\n',
        b"\n\n",
        b"[[], 1, 2, {}, 0]\n",
    ],
)
def test_lines_that_mean_nothing_are_overlooked(pictures: "HandmadeDataset", notebook: Path, rubbish: bytes) -> None:
    first = looked_at(pictures, IDS, memo=ScanCache(notebook))
    notebook.write_bytes(rubbish + notebook.read_bytes() + rubbish)
    assert looked_at(pictures, IDS, memo=ScanCache(notebook)) == first
    assert len(ScanCache(notebook).known) == 3


@given(
    st.dictionaries(
        st.text(),
        st.builds(
            MaskStatistics,
            st.integers(1, 999),
            st.integers(1, 999),
            st.dictionaries(st.integers(0, 253), st.integers(1, 999)),
            st.integers(0, 9),
        ),
        max_size=5,
    )
)
def test_what_is_remembered_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, known: dict[str, MaskStatistics]
) -> None:
    path = tmp_path_factory.mktemp("memo") / "memo.jsonl"
    memo = ScanCache(path)
    for key, shown in known.items():
        assert memo.ask(key, lambda shown=shown: shown) == shown
    assert ScanCache(path).known == known


APPEND = """
import sys
from pathlib import Path
from ssul.datasets.scan import ScanCache, MaskStatistics
memo = ScanCache(Path(sys.argv[1]))
for number in range(400):
    memo.ask(f"{sys.argv[2]} {number}", lambda: MaskStatistics(number, 1, {0: 10**30}, 0))
"""


def test_two_processes_may_append_at_once(notebook: Path) -> None:
    commands = [[sys.executable, "-c", APPEND, str(notebook), name] for name in ("one", "two")]
    for process in [subprocess.Popen(command) for command in commands]:
        assert process.wait() == 0
    assert set(ScanCache(notebook).known) == {f"{name} {number}" for name in ("one", "two") for number in range(400)}
    for line in notebook.read_text(encoding="utf-8").splitlines():
        assert not line or len(json.loads(line)) == 5


# --- interrupts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Each look takes a while; when each began."""
    began: list[float] = []
    counted = examine._shown

    def shown(*arguments: object) -> MaskStatistics:
        began.append(time.monotonic())
        time.sleep(0.02)
        return counted(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(examine, "_shown", shown)
    return began


def test_an_interrupt_ends_at_once_and_what_was_found_out_stays(
    book: "HandmadeDataset", notebook: Path, slow: list[float]
) -> None:
    ids = [f"{number:03d}" for number in range(200)]
    for number, name in enumerate(ids):
        book.add(name, [[number % 4, number // 4]], image=np.zeros((1, 2, 3)))

    def interrupted() -> Iterator[IndexRow | ImageProblem]:
        found = scan_images(book.folders, ids, classes=200, values=USUAL, saliency=False, memo=ScanCache(notebook))
        for number, row in enumerate(found):
            if number == 5:
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        list(interrupted())
    looked = len(slow)
    time.sleep(0.1)
    assert len(slow) == looked < 100  # nothing goes on behind the caller's back
    slow.clear()
    found = looked_at(book, ids, classes=200, memo=ScanCache(notebook))
    assert [row.id for row in found] == ids
    assert len(slow) == 200 - looked


INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from ssul.datasets import scan as examine
from ssul.datasets.scan_cache import ScanCache
from ssul.data.layout import MaskEncoding
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started to ignore it
counted = examine._shown
def shown(*arguments):
    time.sleep(0.05)
    return counted(*arguments)
examine._shown = shown
content = Path(sys.argv[1]).read_bytes()
masks = ((str(number), content + bytes([number // 256, number % 256])) for number in range(6000))
found = examine.scan_masks(masks, classes=3, values=MaskEncoding(), memo=ScanCache(Path(sys.argv[2])))
for image_id, _ in found:
    print(image_id, flush=True)
    if sys.argv[3] == "between":
        raise KeyboardInterrupt
"""


@pytest.mark.parametrize("when", ["while waiting", "between"])
def test_ctrl_c_ends_the_process_within_a_moment(book: "HandmadeDataset", notebook: Path, when: str) -> None:
    book.add("a", MASK)
    command = [sys.executable, "-c", INTERRUPTED, str(book.folders.mask("a")), str(notebook), when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) != 0  # all of them would take more than a minute
    assert 1 <= len(ScanCache(notebook).known) < 600


def test_only_a_few_masks_are_read_ahead() -> None:
    read: list[int] = []

    def masks() -> Iterator[tuple[str, bytes]]:
        for number in range(1000):
            read.append(number)
            yield str(number), b""

    for number, fault in enumerate(scan_masks(masks(), classes=3, values=USUAL, memo=ScanCache(None))):
        assert fault == ImageProblem(str(number), "unreadable mask (not a JPEG or PNG picture)")
        assert len(read) <= number + examine.MAX_AHEAD
    assert read == list(range(1000))
