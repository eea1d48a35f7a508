"""A data root may have any name, be behind links, or be read-only."""

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

VOC = find_dataset("voc")
MASK = [[0, 1, 2], [255, 2, 2]]


def use_dataset(root: Path, out: Path) -> None:
    """Finds, indexes, writes, reads back and opens a dataset."""
    paths = ImagePaths(root, VOC.train)
    ids, _ = split_ids(paths, ImagePaths(root, VOC.val), val_share=None, val_seed=0)
    found = scan_images(paths, ids, classes=20, values=MaskEncoding(), saliency=False, cache=ScanCache(None))
    rows = tuple(row for row in found if isinstance(row, IndexRow))
    assert [row.id for row in rows] == ids == ["a b", "ö🐑"]
    index = ImageIndex("voc", VOC.classes, VOC.train, MaskEncoding(), rows)
    index.write(out / "train.json")
    assert ImageIndex.read(out / "train.json") == index
    require_unchanged(index.rows, paths, saliency=False)
    assert SegmentationDataset.of(index, root, saliency=False).read("ö🐑").mask.tolist() == MASK


@pytest.mark.parametrize("name", ["mañana 数据 🐑", "{id}", "link"])
def test_a_data_root_may_have_any_name_be_a_link_and_be_read_only(
    book: "HandmadeDataset", tmp_path: Path, name: str
) -> None:
    for image_id in ("a b", "ö🐑", "val"):
        book.add(image_id, MASK)
    book.list_images("val", ["val"])
    root = tmp_path / name
    if name == "link":
        root.symlink_to(book.root)
        images = root / "JPEGImages"
        images.symlink_to(images.rename(tmp_path / "elsewhere"))
    else:
        book.root.rename(root)
    paths = [root, *sorted(root.rglob("*"))]
    for path in paths:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    before = [(path, path.stat().st_mtime_ns) for path in paths]
    use_dataset(root, tmp_path / "out")
    # the superuser may write all the same
    assert [(path, path.stat().st_mtime_ns) for path in [root, *sorted(root.rglob("*"))]] == before
