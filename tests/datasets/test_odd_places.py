"""DataParams sets lie anywhere: with spaces and any letters in their paths, behind links, where nothing is written."""

import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ssul.data.dataset import SegmentationDataset
from ssul.data.image_files import MAX_BYTES
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.data.layout import ImagePaths, MaskEncoding, invalid_id_reason, masks_by_id, read_image_list
from ssul.datasets.catalog import data_set
from ssul.datasets.mask_source import MaskSource
from ssul.datasets.scan import scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.split_ids import split_ids
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

FILES = data_set("voc").train
MASK = [[0, 1, 2], [255, 2, 2]]


def all_of(book: "HandmadeDataset", root: Path) -> None:
    """Finds, indexes, writes, reads back, and opens a dataset at a root."""
    train, val = ImagePaths(root, FILES), ImagePaths(root, data_set("voc").val)
    ids, _ = split_ids(train, val, val_share=None, val_seed=0)
    rows = [
        row
        for row in scan_images(train, ids, classes=20, values=MaskEncoding(), saliency=False, memo=ScanCache(None))
        if isinstance(row, IndexRow)
    ]
    assert [row.id for row in rows] == ids == ["a b", "ö🐑"]
    index = ImageIndex("voc", tuple("abcdefghijklmnopqrst"), FILES, MaskEncoding(), tuple(rows))
    path = book.root.parent / "out" / "train.json"
    index.write(path)
    assert ImageIndex.read(path) == index
    require_unchanged(index.rows, train, saliency=False)
    assert SegmentationDataset.of(index, root, saliency=False).read("ö🐑").mask.tolist() == MASK


@pytest.fixture
def filled(book: "HandmadeDataset") -> "HandmadeDataset":
    for name in ("a b", "ö🐑", "val"):
        book.add(name, MASK)
    book.list_images("val", ["val"])
    return book


@pytest.mark.parametrize("name", ["with space", "mañana 数据 🐑", "a'b\"c", "{id}", "$HOME", "-rf", "%s%n", "x" * 200])
def test_a_data_root_may_be_called_anything(filled: "HandmadeDataset", tmp_path: Path, name: str) -> None:
    all_of(filled, filled.root.rename(tmp_path / name))


def test_a_data_root_and_its_folders_may_be_links(filled: "HandmadeDataset", tmp_path: Path) -> None:
    images = filled.root / "JPEGImages"
    images.symlink_to(images.rename(tmp_path / "elsewhere"))
    (tmp_path / "link").symlink_to(filled.root)
    all_of(filled, tmp_path / "link")


def test_nothing_is_written_below_a_data_root(filled: "HandmadeDataset") -> None:
    """So that it may be read-only, which for root is no hindrance: what is there before and after is compared."""
    paths = [filled.root, *sorted(filled.root.rglob("*"))]
    for path in paths:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    before = [(path, path.stat().st_mtime_ns) for path in paths]
    all_of(filled, filled.root)
    assert [(path, path.stat().st_mtime_ns) for path in [filled.root, *sorted(filled.root.rglob("*"))]] == before


def test_a_link_that_leads_to_itself_is_no_endless_search(filled: "HandmadeDataset") -> None:
    (filled.root / "SegmentationClassAug" / "again").symlink_to(filled.root / "SegmentationClassAug")
    (filled.root / "SegmentationClassAug" / "loop.png").symlink_to("loop.png")
    found = ImagePaths(filled.root, FILES).list_masks()
    assert {"a b", "ö🐑", "val"} <= set(found)
    (fault,) = scan_images(
        ImagePaths(filled.root, FILES),
        ["loop"],
        classes=20,
        values=MaskEncoding(),
        saliency=False,
        memo=ScanCache(None),
    )
    assert not isinstance(fault, IndexRow)


@pytest.mark.parametrize("name", [b"a\nb.png", b"a\xff.png", "a\u2028b.png".encode(), b"\x1b[31m.png"])
def test_a_mask_whose_name_is_no_line_of_text_is_refused_and_not_overlooked(
    filled: "HandmadeDataset", name: bytes
) -> None:
    folder = os.fsencode(filled.root / "SegmentationClassAug")
    Path(os.fsdecode(folder + b"/" + name)).write_bytes(b"")
    with pytest.raises(UserError, match="cannot be used, for its name") as refused:
        ImagePaths(filled.root, FILES).list_masks()
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("image_id", ["", " ", "/etc/passwd", "../a", "a/../../b", "a\x00b", "\ud800"])
def test_what_is_no_image_id(image_id: str) -> None:
    assert invalid_id_reason(image_id) is not None


@pytest.mark.parametrize("image_id", ["a", "town/a", "a..b", "2007_000032", "ö 🐑", "<b>", "a\u00a0b"])
def test_what_is_an_image_id(image_id: str) -> None:
    assert invalid_id_reason(image_id) is None
    assert masks_by_id([f"m/{image_id}.png"], "m/{id}.png") == {image_id: f"m/{image_id}.png"}


def test_a_list_with_control_characters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"a\nb\x00c\n")
    with pytest.raises(UserError, match="control characters"):
        read_image_list(tmp_path / "train.txt")


# --- archives of masks ------------------------------------------------------------------------------------------------


def test_a_mask_in_an_archive_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "masks.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("masks/a.png", "w") as file:
        for _ in range(MAX_BYTES // 2**22 + 1):
            file.write(bytes(2**22))
    store = MaskSource.open(path, "masks/{id}.png")
    with pytest.raises(UserError, match=r"the mask of a in .* cannot be read \(.* bytes, at most"):
        list(store.contents(["a"]))


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("masks/a.png", b"x")
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"the mask of a in .* cannot be read"):
        list(MaskSource.open(path, "masks/{id}.png").contents(["a"]))


def test_an_archive_whose_table_of_contents_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("masks/a.png", np.zeros(9, dtype=np.uint8).tobytes())
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\x01\x02", b"PK\x01\x09"))
    with pytest.raises(UserError, match="cannot be read"):
        MaskSource.open(path, "masks/{id}.png")
