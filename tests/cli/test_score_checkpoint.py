"""A checkpoint is scored on images without an index, which are checked as the index checks them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from ssul.cli.score_checkpoint import evaluate_checkpoint
from ssul.config.schema import Images
from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.datasets.catalog import DatasetSpec
from ssul.errors import UserError
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.scores import Scores
from ssul.model.checkpoint import load_checkpoint, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

ARCHITECTURE = Architecture("small", "deeplabv3", 16, 8)
LABELS = {"groups": [[1, 2]], "unknown": True, "activation": "sigmoid"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = IncrementalDeepLab(ARCHITECTURE, (1, 1, 2))
    save_checkpoint(tmp_path / "step_0", model, {"labels": LABELS, "class_names": ["ball", "star"]})
    return tmp_path / "step_0"


def scored(
    checkpoint: Path,
    book: "HandmadeDataset",
    shift: float = 0.0,
    images: Images = "all",
    known: int = 0,
    **values: Any,
) -> Scores:
    files = book.folders.files
    val = SplitFiles(files.image, files.mask, list="ImageSets/Segmentation/val.txt")
    colours, encoding = ((0, 0, 0), (1, 1, 1), (2, 2, 2)), MaskEncoding(**values)
    toy = DatasetSpec("toy", ("ball", "star"), colours, train=files, val=val, values=encoding, known=known)
    protocol = Protocol(Fabric(accelerator="cpu", devices=1), "ignore", "auto", None, images)
    return evaluate_checkpoint(
        checkpoint, toy, book.root, protocol=protocol, watch=lambda evaluated, _: evaluated, shift=shift
    )


@pytest.fixture
def images(book: "HandmadeDataset") -> "HandmadeDataset":
    for name in ("a", "b"):
        book.add(name, np.arange(32 * 32).reshape(32, 32) % 3)
    book.list_images("val", ["b"])
    return book


def test_a_checkpoint_has_scores_of_its_classes(checkpoint: Path, images: "HandmadeDataset") -> None:
    assert list(scored(checkpoint, images).iou) == ["background", "ball", "star"]


def test_a_shift_lowers_or_raises_the_classes_learned_after_the_base_step_alone(
    tmp_path: Path, images: "HandmadeDataset"
) -> None:
    model = IncrementalDeepLab(ARCHITECTURE, (1, 1, 1, 1))
    meaning = {"labels": {**LABELS, "groups": [[1], [2]]}, "class_names": ["ball", "star"]}
    save_checkpoint(tmp_path / "step_1", model, meaning)
    low, high = (scored(tmp_path / "step_1", images, shift) for shift in (-1e4, 1e4))
    assert (low.accuracy["star"], high.accuracy["ball"]) == (0, 0)


def test_where_every_pixel_is_of_a_class_only_the_classes_have_scores(
    checkpoint: Path, images: "HandmadeDataset"
) -> None:
    scores = scored(checkpoint, images, background=False, first=0, void=2)
    assert list(scores.iou) == ["ball", "star"]
    assert scores.all is not None
    assert scores.all > 0  # each pixel is of one of two classes, and one of them is predicted


def test_an_invalid_value_in_a_mask_is_refused_and_not_left_out_of_the_score(
    checkpoint: Path, images: "HandmadeDataset"
) -> None:
    images.add("b", np.full((32, 32), 7))
    with pytest.raises(UserError, match=r"1 of 1 images .* b: its mask holds \[7\]"):
        scored(checkpoint, images)


def test_images_of_later_classes_alone_are_not_scored_where_seen_ones_are_asked_for(
    tmp_path: Path, images: "HandmadeDataset"
) -> None:
    model = IncrementalDeepLab(ARCHITECTURE, (1, 1, 1))
    meaning = {"labels": {**LABELS, "groups": [[1]]}, "class_names": ["ball"]}
    save_checkpoint(tmp_path / "step_0", model, meaning)
    images.add("stars", np.full((32, 32), 2))
    images.list_images("val", ["b", "stars"])
    with_stars = [scored(tmp_path / "step_0", images, images=one) for one in ("all", "seen")]
    assert with_stars[0] == with_stars[1]  # the stars are not evaluated before they are learned
    images.list_images("val", ["stars"])
    with pytest.raises(UserError, match="none of the 1 validation images"):
        scored(tmp_path / "step_0", images, images="seen")


def test_classes_are_matched_by_name_and_one_that_the_dataset_lacks_has_no_iou(
    checkpoint: Path, tmp_path: Path, images: "HandmadeDataset"
) -> None:
    same, other = IncrementalDeepLab(ARCHITECTURE, (1, 1, 2)), {**LABELS, "groups": [[7, 4]]}
    same.load_state_dict(load_checkpoint(checkpoint)[0].state_dict())
    save_checkpoint(tmp_path / "other", same, {"labels": other, "class_names": ["ball", "star"]})
    assert scored(tmp_path / "other", images) == scored(checkpoint, images)
    save_checkpoint(tmp_path / "other", same, {"labels": other, "class_names": ["kite", "star"]})
    scores = scored(tmp_path / "other", images)
    assert list(scores.iou) == ["background", "kite", "star"]
    assert scores.iou["kite"] is None
    save_checkpoint(tmp_path / "other", same, {"labels": other, "class_names": ["kite", "gem"]})
    with pytest.raises(UserError, match="none of them is a class of toy"):
        scored(tmp_path / "other", images)


def test_a_known_class_that_no_mask_of_an_extending_dataset_shows_has_no_iou(
    tmp_path: Path, images: "HandmadeDataset"
) -> None:
    model = IncrementalDeepLab(ARCHITECTURE, (1, 1, 1, 1))
    for head in model.heads:
        torch.nn.init.constant_(head.classifier.bias, -1e4)  # type: ignore[union-attr, arg-type]
    meaning = {"labels": {**LABELS, "groups": [[1], [2]]}, "class_names": ["ball", "star"]}
    save_checkpoint(tmp_path / "step_1", model, meaning)
    images.add("b", np.full((32, 32), 1))
    new, known = (scored(tmp_path / "step_1", images, shift=2e4, known=count) for count in (1, 2))
    assert new.iou["star"] == 0  # it is predicted, and the masks would show it
    assert known.iou["star"] is None  # what looks like one may be one
