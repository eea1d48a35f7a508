"""A checkpoint is scored on images without an index, which are checked as the index checks them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lightning_fabric import Fabric

from ssul.cli.score_checkpoint import evaluate_checkpoint
from ssul.data.layout import SplitFiles
from ssul.datasets.catalog import DatasetSpec
from ssul.errors import UserError
from ssul.evaluation.scores import Scores
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

LABELS = {"groups": [[1, 2]], "unknown": True, "activation": "sigmoid"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 16, 8), (1, 1, 2))
    save_checkpoint(tmp_path / "step_0", model, {"labels": LABELS, "class_names": ["ball", "star"]})
    return tmp_path / "step_0"


def scored(checkpoint: Path, book: "HandmadeDataset") -> Scores:
    files = book.folders.files
    val = SplitFiles(files.image, files.mask, list="ImageSets/Segmentation/val.txt")
    toy = DatasetSpec("toy", ("ball", "star"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), train=files, val=val)
    cpu = Fabric(accelerator="cpu", devices=1)
    return evaluate_checkpoint(
        checkpoint, toy, book.root, fabric=cpu, future="ignore", crop=None, watch=lambda evaluated, _: evaluated
    )


@pytest.fixture
def images(book: "HandmadeDataset") -> "HandmadeDataset":
    for name in ("a", "b"):
        book.add(name, np.arange(32 * 32).reshape(32, 32) % 3)
    book.list_images("val", ["b"])
    return book


def test_a_checkpoint_has_scores_of_its_classes(checkpoint: Path, images: "HandmadeDataset") -> None:
    assert list(scored(checkpoint, images).iou) == ["background", "ball", "star"]


def test_an_invalid_value_in_a_mask_is_refused_and_not_left_out_of_the_score(
    checkpoint: Path, images: "HandmadeDataset"
) -> None:
    images.add("b", np.full((32, 32), 7))
    with pytest.raises(UserError, match=r"1 of 1 images .* b: its mask holds \[7\]"):
        scored(checkpoint, images)
