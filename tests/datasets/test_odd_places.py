"""Datasets lie anywhere: with spaces and any letters in their paths, behind links, on read-only disks."""

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets.catalog import find_dataset
from ssul.datasets.scan import scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.split_ids import split_ids

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

FILES = find_dataset("voc").train
MASK = [[0, 1, 2], [255, 2, 2]]


def use_dataset(book: "HandmadeDataset", root: Path) -> None:
    """Finds, indexes, writes, reads back, and opens a dataset at a root."""
    train, val = ImagePaths(root, FILES), ImagePaths(root, find_dataset("voc").val)
    ids, _ = split_ids(train, val, val_share=None, val_seed=0)
    rows = [
        row
        for row in scan_images(train, ids, classes=20, values=MaskEncoding(), saliency=False, cache=ScanCache(None))
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


@pytest.mark.parametrize("name", ["with space", "mañana 数据 🐑", "{id}"])
def test_a_data_root_may_be_called_anything(filled: "HandmadeDataset", tmp_path: Path, name: str) -> None:
    use_dataset(filled, filled.root.rename(tmp_path / name))


def test_a_data_root_and_its_folders_may_be_links(filled: "HandmadeDataset", tmp_path: Path) -> None:
    images = filled.root / "JPEGImages"
    images.symlink_to(images.rename(tmp_path / "elsewhere"))
    (tmp_path / "link").symlink_to(filled.root)
    use_dataset(filled, tmp_path / "link")


def test_nothing_is_written_below_a_data_root(filled: "HandmadeDataset") -> None:
    """So that it may be read-only. The superuser may write all the same, so that the content is compared."""
    paths = [filled.root, *sorted(filled.root.rglob("*"))]
    for path in paths:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    before = [(path, path.stat().st_mtime_ns) for path in paths]
    use_dataset(filled, filled.root)
    assert [(path, path.stat().st_mtime_ns) for path in [filled.root, *sorted(filled.root.rglob("*"))]] == before
