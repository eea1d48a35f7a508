"""A step's evaluation leaves scores and counts of the images that are scored, and pictures of all examples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lightning_fabric import Fabric

from ssul.config.schema import Images
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import MaskEncoding
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.evaluate import EvaluatedImage
from ssul.evaluation.image_counts import read_counts
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.results import Results
from ssul.evaluation.scores import Scores
from ssul.evaluation.small_masks import read_masks
from ssul.evaluation.step import ImageSet, StepEvaluation
from ssul.inference.trained_model import TrainedModel
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

SHOWN = {"a": 1, "b": 2, "c": 1, "d": 0}  # the class that each image shows; 2 is never learned here
SIDE = 32


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint that learned class 1, and an empty folder."""
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 16, 8), (1, 1, 1))
    labels = {"groups": [[1]], "unknown": True, "activation": "sigmoid"}
    save_checkpoint(tmp_path / "step_0", model, {"labels": labels, "class_names": ["ball"]})
    (tmp_path / "evaluation").mkdir()
    return tmp_path / "step_0", tmp_path / "evaluation"


def evaluated(
    places: tuple[Path, Path], book: "HandmadeDataset", images: Images, shown: dict[str, int], held_out: list[str]
) -> tuple[Scores, list[str]]:
    """The scores, and the ids of all images that were predicted."""
    rows = []
    for name, class_id in shown.items():
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask[:8] = class_id
        book.add(name, mask)
        counts = {one: int(number) for one, number in enumerate(np.bincount(mask.ravel())) if number}
        rows.append(IndexRow(name, SIDE, SIDE, counts, 0, 0, ""))
    index = ImageIndex("toy", ("ball", "star"), book.folders.files, MaskEncoding(), tuple(rows))
    dataset = SegmentationDataset(book.folders)
    predicted: list[str] = []

    def watch(found: Iterator[EvaluatedImage], count: int, title: str) -> Iterator[EvaluatedImage]:
        before = len(predicted)
        for one in found:
            predicted.append(one.image.id)
            yield one
        assert len(predicted) - before == count, title

    fabric = Fabric(accelerator="cpu", devices=1)
    evaluation = StepEvaluation(
        TrainedModel.load(places[0]),
        step=0,
        index=index,
        images=ImageSet(dataset, list(shown)),
        held_out=ImageSet(dataset, held_out),
        examples=2,
        protocol=Protocol(fabric, "ignore", "auto", None, images),
    )
    scores = evaluation.write(places[1], None, *evaluation.observe(fabric, watch), find_dataset("voc").palette)
    return scores, predicted


def test_the_counts_are_those_of_the_scored_images_and_make_the_scores(
    places: tuple[Path, Path], book: "HandmadeDataset"
) -> None:
    scores, predicted = evaluated(places, book, "seen", SHOWN, [])
    counts = read_counts(places[1])
    assert list(counts) == ["a", "c"]
    right, true, found = (
        sum(one[place] for image in counts.values() for one in image if one[0] == 1) for place in (1, 2, 3)
    )
    assert true == 2 * 8 * SIDE
    assert scores.iou["ball"] == pytest.approx(right / (true + found - right))
    results = Results.read(places[1])
    assert results.images == 2
    assert sum(map(sum, results.confusion)) == 2 * SIDE * SIDE
    assert predicted == ["a", "b", "c"]  # b is an example: nothing predicts d
    masks = read_masks(places[1])
    assert list(masks) == ["a", "c"]
    assert [int((truth == 1).sum()) for truth, _ in masks.values()] == [8 * SIDE] * 2
    assert sum(int(((truth == 1) & (predicted == 1)).sum()) for truth, predicted in masks.values()) == right


def test_examples_are_the_same_and_have_predictions_whichever_images_are_scored(
    places: tuple[Path, Path], book: "HandmadeDataset"
) -> None:
    evaluated(places, book, "seen", SHOWN, [])
    shown = {path.parent.name for path in (places[1] / "examples").glob("*/step_0.png")}
    assert "b" in shown
    assert len(shown) == 2


def test_all_images_are_scored_by_default(places: tuple[Path, Path], book: "HandmadeDataset") -> None:
    scores, predicted = evaluated(places, book, "all", SHOWN, [])
    assert list(read_counts(places[1])) == predicted == list(SHOWN)
    assert Results.read(places[1]).images == 4
    assert scores.hiou is None  # nothing is new at step 0
    assert json.loads((places[1] / "results.json").read_text())["rows"][0]["hiou"] is None


def test_held_out_images_are_scored_whichever_validation_images_are(
    places: tuple[Path, Path], book: "HandmadeDataset"
) -> None:
    scores, _ = evaluated(places, book, "seen", SHOWN, ["a", "c"])
    assert scores.holdout is not None
    assert (scores.holdout.images, scores.holdout.old) == (2, scores.old)
