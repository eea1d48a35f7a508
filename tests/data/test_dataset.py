"""Opening the images of indexed images."""

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
KINDS = ["image", "mask", "saliency"]


@pytest.fixture
def dataset(book: "HandmadeDataset") -> SegmentationDataset:
    book.add("a", MASK, saliency=SALIENCY, image=np.arange(18).reshape(2, 3, 3) * 14)
    return SegmentationDataset(book.folders, saliency=True)


def test_an_image_is_what_pillow_decodes(dataset: SegmentationDataset) -> None:
    labeled = dataset.read("a")
    with Image.open(dataset.folders.image("a")) as photograph:
        expected = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)
    assert labeled.id == "a"
    assert torch.equal(labeled.image, expected)
    assert (labeled.image.shape, labeled.image.dtype) == ((3, 2, 3), torch.uint8)


def test_palette_masks_are_read_as_ids_and_not_as_colours(dataset: SegmentationDataset) -> None:
    labeled = dataset.read("a")
    assert labeled.saliency is not None
    assert labeled.mask.tolist() == MASK
    assert labeled.saliency.tolist() == SALIENCY
    assert labeled.mask.dtype == labeled.saliency.dtype == torch.uint8


def test_saliency_is_read_only_when_asked_for(dataset: SegmentationDataset) -> None:
    dataset.folders.saliency("a").unlink()
    plain = SegmentationDataset(dataset.folders)
    assert plain.read("a").saliency is None


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_photograph_in_other_colours_becomes_rgb(dataset: SegmentationDataset, mode: str) -> None:
    grey = Image.fromarray(np.full((2, 3), 77, dtype=np.uint8)).convert(mode)
    grey.save(dataset.folders.image("a"))
    image = dataset.read("a").image
    assert image.shape == (3, 2, 3)
    assert (image[0] == image[1]).all()
    assert (image[0].int() - 77).abs().max() <= 2


def of(root: Path, values: MaskEncoding, files: SplitFiles, *, saliency: bool = False) -> SegmentationDataset:
    index = ImageIndex("toy", ("ball", "star"), files, values, ())
    return SegmentationDataset.of(index, root, saliency=saliency)


def test_the_index_says_where_the_files_lie(book: "HandmadeDataset") -> None:
    files = SplitFiles("photos/{id}.png", "masks/{id}_gt.png", "salient/{id}.png")
    type(book)(ImagePaths(book.root, files)).add("town/a", MASK, saliency=SALIENCY)
    labeled = of(book.root, MaskEncoding(), files, saliency=True).read("town/a")
    assert labeled.mask.tolist() == MASK
    assert labeled.saliency is not None
    assert labeled.saliency.tolist() == SALIENCY


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (MaskEncoding(), MASK),
        (MaskEncoding(background=False, void=0), [[VOID, 1, VOID], [2, VOID, 1]]),  # 255 is foreign: void too
        (MaskEncoding(background=False, first=0), [[1, 2, VOID], [VOID, 1, 2]]),
        (MaskEncoding(first=2, void=1), [[0, VOID, VOID], [1, 0, VOID]]),
    ],
)
def test_values_are_read_as_the_ids_that_they_mean(
    book: "HandmadeDataset", values: MaskEncoding, ids: list[list[int]]
) -> None:
    book.add("a", MASK)
    mask = of(book.root, values, book.folders.files).read("a").mask
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
def test_a_mask_is_read_with_the_meaning_that_it_was_indexed_with(
    book: "HandmadeDataset", values: MaskEncoding
) -> None:
    raw = np.random.default_rng(0).choice(list(values.ids(2)), (9, 11))
    book.add("a", raw)
    content = book.folders.mask("a").read_bytes()
    ((_, shown),) = scan_masks([("a", content)], classes=2, values=values, cache=ScanCache(None))
    assert isinstance(shown, MaskStatistics)
    mask = of(book.root, values, book.folders.files).read("a").mask
    read = {class_id: int((mask == class_id).sum()) for class_id in (0, 1, 2) if (mask == class_id).any()}
    assert (read, int((mask == VOID).sum())) == (shown.pixels, shown.void)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_gone_is_told_in_words(dataset: SegmentationDataset, kind: str) -> None:
    path = getattr(dataset.folders, kind)("a")
    path.unlink()
    with pytest.raises(UserError) as refused:
        dataset.read("a")
    assert str(path) in str(refused.value)
    assert "`dvc repro --force prepare`" in str(refused.value)


def test_a_truncated_photograph_is_told_in_words(dataset: SegmentationDataset) -> None:
    path = dataset.folders.image("a")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"a below .* cannot be read"):
        dataset.read("a")
