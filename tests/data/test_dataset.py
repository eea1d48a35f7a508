"""Opening the pictures of indexed images."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from ssul.data.dataset import SegmentationDataset
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import PictureBook

MASK = [[0, 1, 255], [2, 0, 1]]
SALIENCY = [[0, 255, 0], [255, 0, 255]]
KINDS = ["image", "mask", "saliency"]


@pytest.fixture
def dataset(book: "PictureBook") -> SegmentationDataset:
    book.add("a", MASK, saliency=SALIENCY, image=np.arange(18).reshape(2, 3, 3) * 14)
    return SegmentationDataset(book.folders, saliency=True)


def test_a_picture_is_what_pillow_decodes(dataset: SegmentationDataset) -> None:
    picture = dataset.read("a")
    with Image.open(dataset.folders.image("a")) as photograph:
        expected = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)
    assert picture.id == "a"
    assert torch.equal(picture.image, expected)
    assert (picture.image.shape, picture.image.dtype) == ((3, 2, 3), torch.uint8)


def test_palette_masks_are_read_as_ids_and_not_as_colours(dataset: SegmentationDataset) -> None:
    picture = dataset.read("a")
    assert picture.saliency is not None
    assert picture.mask.tolist() == MASK
    assert picture.saliency.tolist() == SALIENCY
    assert picture.mask.dtype == picture.saliency.dtype == torch.uint8


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
