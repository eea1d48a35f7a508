"""Reading indexed images."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths, MaskEncoding, SplitFiles
from ssul.datasets.scan import scan_masks
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.errors import UserError
from ssul.labels.ids import VOID

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

MASK = [[0, 1, 255], [2, 0, 1]]
SALIENCY = [[0, 255, 0], [255, 0, 255]]
KINDS = pytest.mark.parametrize("kind", ["image", "mask", "saliency"])


@pytest.fixture
def dataset(book: "HandmadeDataset") -> SegmentationDataset:
    book.add("a", MASK, saliency=SALIENCY, image=np.arange(18).reshape(2, 3, 3) * 14)
    return SegmentationDataset(book.folders, saliency=True)


def indexed(root: Path, values: MaskEncoding, files: SplitFiles, *, saliency: bool = False) -> SegmentationDataset:
    index = ImageIndex("toy", ("ball", "star"), files, values, ())
    return SegmentationDataset.of(index, root, saliency=saliency)


def test_image_mask_and_saliency_map_are_read(dataset: SegmentationDataset) -> None:
    labeled = dataset.read("a")
    assert labeled.id == "a"
    assert labeled.saliency is not None
    with Image.open(dataset.folders.image("a")) as photograph:
        assert torch.equal(labeled.image, torch.from_numpy(np.array(photograph)).permute(2, 0, 1))
    assert (labeled.mask.tolist(), labeled.saliency.tolist()) == (MASK, SALIENCY)
    assert labeled.image.dtype == labeled.mask.dtype == labeled.saliency.dtype == torch.uint8


def test_saliency_is_read_only_if_requested(dataset: SegmentationDataset) -> None:
    dataset.folders.saliency("a").unlink()
    assert SegmentationDataset(dataset.folders).read("a").saliency is None


def test_the_index_names_the_places_of_the_files(book: "HandmadeDataset") -> None:
    files = SplitFiles("photos/{id}.png", "masks/{id}_gt.png", "salient/{id}.png")
    type(book)(ImagePaths(book.root, files)).add("town/a", MASK, saliency=SALIENCY)
    labeled = indexed(book.root, MaskEncoding(), files, saliency=True).read("town/a")
    assert labeled.saliency is not None
    assert (labeled.mask.tolist(), labeled.saliency.tolist()) == (MASK, SALIENCY)


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (MaskEncoding(), MASK),
        (MaskEncoding(background=False, void=0), [[VOID, 1, VOID], [2, VOID, 1]]),  # 255 is unknown: void too
        (MaskEncoding(background=False, first=0), [[1, 2, VOID], [VOID, 1, 2]]),
        (MaskEncoding(first=2, void=1), [[0, VOID, VOID], [1, 0, VOID]]),
    ],
)
def test_mask_values_are_read_as_ids(book: "HandmadeDataset", values: MaskEncoding, ids: list[list[int]]) -> None:
    book.add("a", MASK)
    mask = indexed(book.root, values, book.folders.files).read("a").mask
    assert mask.tolist() == ids
    assert mask.dtype == torch.uint8


@pytest.mark.parametrize(
    "values",
    [
        MaskEncoding(),
        MaskEncoding(void=None),
        MaskEncoding(first=7, void=3),
        MaskEncoding(background=False, void=0),
        MaskEncoding(background=False, first=0),
    ],
)
def test_a_mask_is_read_with_the_pixel_counts_of_its_scan(book: "HandmadeDataset", values: MaskEncoding) -> None:
    book.add("a", np.random.default_rng(0).choice(list(values.ids(2)), (9, 11)))
    content = book.folders.mask("a").read_bytes()
    ((_, found),) = scan_masks([("a", content)], classes=2, values=values, cache=ScanCache(None))
    assert isinstance(found, MaskStatistics)
    mask = indexed(book.root, values, book.folders.files).read("a").mask
    counts = {class_id: int((mask == class_id).sum()) for class_id in (0, 1, 2) if (mask == class_id).any()}
    assert (counts, int((mask == VOID).sum())) == (found.pixels, found.void)


@KINDS
def test_a_missing_file_is_named_with_the_way_out(dataset: SegmentationDataset, kind: str) -> None:
    path = getattr(dataset.folders, kind)("a")
    path.unlink()
    with pytest.raises(UserError) as refused:
        dataset.read("a")
    assert str(path) in str(refused.value)
    assert "`dvc repro --force prepare`" in str(refused.value)


@KINDS
def test_a_file_of_another_size_is_refused(dataset: SegmentationDataset, kind: str) -> None:
    path = getattr(dataset.folders, kind)("a")
    Image.open(path).resize((5, 3)).save(path)
    with pytest.raises(UserError, match="not of one size"):
        dataset.read("a")


def test_an_unreadable_file_is_named_by_its_image(dataset: SegmentationDataset) -> None:
    path = dataset.folders.image("a")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"a below .* cannot be read"):
        dataset.read("a")
