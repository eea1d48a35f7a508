"""The index: the pixel counts of a split's images and the description of the dataset, in one file."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.image_files import MAX_BYTES
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.data.layout import MaskEncoding, SplitFiles, invalid_id_reason
from ssul.datasets.scan import ImageProblem, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

MASK = [[0, 0, 1, 3], [255, 3, 3, 255], [0, 1, 3, 255]]
SALIENCY = np.zeros((3, 4))
ROWS = (
    IndexRow("b", 1, 1, {2: 1}, 0, 700, "0b" * 32),
    IndexRow("town/a", 3, 4, {3: 4, 0: 3, 1: 2}, 3, 900, "0a" * 32),
    IndexRow("c", 1, 2, {0: 1}, 1, 800, "0c" * 32),
)
INDEX = ImageIndex(
    data_set="toy",
    class_names=("ball", "star", "hat"),
    files=SplitFiles("photos/{id}.jpg", "masks/{id}.png", "salient/{id}.png", "lists/train.txt", list_may_lack=True),
    values=MaskEncoding(background=False, first=0, void=None),
    rows=ROWS,
)


def index_of(*rows: IndexRow) -> ImageIndex:
    classes = tuple(f"class {number}" for number in range(253))
    return ImageIndex("toy", classes, SplitFiles("photos/{id}.jpg", "masks/{id}.png"), MaskEncoding(), rows)


def scanned(book: "HandmadeDataset", *ids: str, saliency: bool = False) -> list[IndexRow]:
    found = scan_images(book.folders, ids, classes=3, values=MaskEncoding(), saliency=saliency, cache=ScanCache(None))
    return [row for row in found if isinstance(row, IndexRow)]


def test_the_background_is_not_among_the_classes_of_an_image() -> None:
    assert INDEX.present == {"b": (2,), "town/a": (1, 3), "c": ()}
    assert [INDEX.class_name(class_id) for class_id in (0, 1, 3)] == ["background", "ball", "hat"]


def test_reading_an_index_takes_little_memory_for_each_image(tmp_path: Path) -> None:
    pixels = {class_id: 100 + class_id for class_id in range(10)}
    rows = [IndexRow(f"train/{one:012d}", 1, sum(pixels.values()), pixels, 0, 9, f"{one:064x}") for one in range(1000)]
    index_of(*rows).write(tmp_path / "index.json")
    ImageIndex.read(tmp_path / "index.json")  # what is built once is no image's
    tracemalloc.start()
    try:
        found = ImageIndex.read(tmp_path / "index.json")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.rows) == 1000
    assert peak / 1000 < 2000  # bytes: COCO-Stuff's 164,000 images take 0.3 GB at most


def test_an_index_is_json_with_a_line_for_each_image(tmp_path: Path) -> None:
    path = tmp_path / "index" / "train.json"
    INDEX.write(path)
    assert ImageIndex.read(path) == INDEX
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["class_names"] == ["ball", "star", "hat"]
    assert [line[:5] for line in text.splitlines() if line.startswith('["')] == ['["b",', '["tow', '["c",']


@st.composite
def rows(draw: st.DrawFn) -> IndexRow:
    """A row with any pixel counts, which fit the image's size."""
    pixels = draw(st.dictionaries(st.integers(0, 253), st.integers(1, 10**7)))
    void = draw(st.integers(0 if pixels else 1, 10**7))
    name = draw(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(is_id))
    digest = draw(st.text("0123456789abcdef", min_size=64, max_size=64))
    return IndexRow(name, 1, void + sum(pixels.values()), pixels, void, draw(st.integers(0, 10**9)), digest)


def is_id(name: str) -> bool:
    return invalid_id_reason(name) is None


@given(st.lists(rows(), max_size=5, unique_by=lambda row: row.id))
def test_any_index_is_read_as_written_and_written_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, known: list[IndexRow]
) -> None:
    index = index_of(*known)
    one, two = (tmp_path_factory.getbasetemp() / "index" / name for name in ("one.json", "two.json"))
    index.write(one)
    assert ImageIndex.read(one) == index
    ImageIndex.read(one).write(two)
    assert one.read_bytes() == two.read_bytes()


def test_the_known_classes_that_no_mask_shows_are_named(tmp_path: Path) -> None:
    row = IndexRow("a", 1, 3, {0: 1, 2: 1, 4: 1}, 0, 9, "0" * 64)
    values = MaskEncoding(class_ids=(4, 2))
    index = ImageIndex(
        "toy", ("hat", "star", "ball", "moon"), SplitFiles("{id}.jpg", "{id}.png"), values, (row,), known=3
    )
    index.write(tmp_path / "train.json")
    assert ImageIndex.read(tmp_path / "train.json") == index
    assert index.known_but_not_shown == ("hat", "ball")


@pytest.mark.parametrize(("pixels", "void"), [({0: 1, 1: 1}, 0), ({0: 3, 1: 0}, 0), ({0: 4}, -1), ({9: 3}, 0)])
def test_inconsistent_pixel_counts_are_refused(tmp_path: Path, pixels: dict[int, int], void: int) -> None:
    index = replace(INDEX, rows=(IndexRow("a", 1, 3, pixels, void, 1, "0a" * 32),))
    index.write(tmp_path / "train.json")
    with pytest.raises(UserError, match=r"train\.json is damaged"):
        ImageIndex.read(tmp_path / "train.json")


def test_a_missing_index_is_refused_with_the_stage_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.json is missing: run `dvc repro prepare`"):
        ImageIndex.read(tmp_path / "train.json")


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
def test_a_missing_file_is_found_before_a_training(book: "HandmadeDataset", kind: str) -> None:
    book.add("a", MASK, saliency=SALIENCY)
    book.add("b", MASK, saliency=SALIENCY)
    known = scanned(book, "a", "b", saliency=True)
    require_unchanged(known, book.folders, saliency=True)
    path = getattr(book.folders, kind)("b")
    path.unlink()
    require_unchanged(known[:1], book.folders, saliency=True)
    with pytest.raises(UserError, match=f"{path.name} is in the index but not on disk"):
        require_unchanged(known, book.folders, saliency=True)


def test_an_unused_saliency_map_may_be_missing_and_a_changed_file_is_found(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    known = scanned(book, "a")
    require_unchanged(known, book.folders, saliency=False)
    book.add("a", [[0, 1, 2, 3] * 30] * 90)
    with pytest.raises(UserError, match=r"a\.jpg.*has changed since it was indexed"):
        require_unchanged(known, book.folders, saliency=False)


def test_a_file_of_too_many_bytes_is_not_read(book: "HandmadeDataset", monkeypatch: pytest.MonkeyPatch) -> None:
    book.add("a", MASK)
    with (image := book.folders.image("a")).open("r+b") as file:
        file.truncate(MAX_BYTES + 1)  # sparse
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("is read") if path == image else read(path))
    (found,) = scan_images(book.folders, ["a"], classes=3, values=MaskEncoding(), saliency=False, cache=ScanCache(None))
    assert isinstance(found, ImageProblem)
    assert found.what == f"its image is a file of more than {MAX_BYTES} bytes, which is not read"
