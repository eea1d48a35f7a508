"""Data like CamVid, whose every pixel is of a class or void: the scores after one epoch are those of saved masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from ssul.cli.app import app
from tests.pipeline.clone import LITTLE, Clone, succeeded, switches
from tests.pipeline.road_world import CLASSES, VOID_VALUE, draw_road_world

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]

VAL = 6  # images, all of which are saved with their predictions
LEARNED = (7, 11)  # classes after each step


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("road")
    draw_road_world(root, train=80, val=VAL)
    return root


@pytest.fixture(scope="module")
def road(fresh: Clone, photographs: Path) -> Clone:
    """A clone after two steps of one epoch each, whose weights were chosen on held-out images."""
    places = {
        split: {"image": f"{split}/{{id}}.png", "mask": f"{split}_labels/{{id}}.png"} for split in ("train", "val")
    }
    encoding = {"background": False, "first_value": 0, "void": VOID_VALUE}
    fresh.describe("road", photographs, classes=list(CLASSES), **encoding, **places)
    asked = (
        "data=road",
        "scenario.base_classes=7",
        "scenario.increment=4",
        "data.holdout=0.2",
        "method.selection=holdout",
    )
    succeeded(fresh.dvc("exp", "run", *switches(*LITTLE, *asked, f"evaluation.examples={VAL}")))
    return fresh


def evaluation(clone: Clone, step: int) -> Path:
    return clone.root / "data" / "evaluation" / f"step_{step}"


def results(clone: Clone, step: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((evaluation(clone, step) / "results.json").read_text())
    return content


def read(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as image:
        return np.asarray(image).astype(np.int64)


def counted_again(clone: Clone, photographs: Path, step: int) -> NDArray[np.int64]:
    """The confusion matrix of the learned classes, from the saved masks and the files of the ground truth."""
    counts = np.zeros((LEARNED[step], LEARNED[step]), np.int64)
    places = list((evaluation(clone, step) / "examples").iterdir())
    assert len(places) == VAL
    for place in places:
        truth, prediction = read(photographs / "val_labels" / f"{place.name}.png"), read(place / f"step_{step}.png")
        assert prediction.min() >= 1  # a dataset id; 0 is the background
        known = truth < LEARNED[step]
        np.add.at(counts, (truth[known], prediction[known] - 1), 1)
    return counts


@pytest.mark.parametrize("step", range(len(LEARNED)))
def test_the_scores_are_those_of_the_saved_masks_and_not_zero(road: Clone, photographs: Path, step: int) -> None:
    found, counts = results(road, step), counted_again(road, photographs, step)
    names, row = list(CLASSES[: LEARNED[step]]), found["rows"][-1]
    assert found["names"] == list(row["iou"]) == names
    assert found["confusion"] == counts.tolist()
    hits, iou = counts.diagonal(), counts.diagonal() / (counts.sum(0) + counts.sum(1) - counts.diagonal())
    assert list(row["iou"].values()) == pytest.approx(iou.tolist(), abs=1e-6)
    assert (row["all"], row["old"]) == pytest.approx((iou.mean(), iou[: LEARNED[0]].mean()), abs=1e-6)
    assert row["new"] == (pytest.approx(iou[LEARNED[0] :].mean(), abs=1e-6) if step else None)
    assert row["pixel_accuracy"] == pytest.approx(hits.sum() / counts.sum(), abs=1e-6)
    assert min(row["all"], row["holdout"]["all"]) > 0


def test_the_counts_of_each_image_are_of_the_named_classes(road: Clone, photographs: Path) -> None:
    counts, sums = counted_again(road, photographs, 1), np.zeros((len(CLASSES), 3), np.int64)
    for image in json.loads((evaluation(road, 1) / "image_counts.json").read_text()).values():
        for place, *pixels in image:
            sums[place] += pixels
    assert sums.T.tolist() == [counts.diagonal().tolist(), counts.sum(1).tolist(), counts.sum(0).tolist()]


def test_the_command_scores_a_checkpoint_as_the_pipeline_does(road: Clone, photographs: Path) -> None:
    checkpoint = road.root / "data" / "checkpoints" / "step_1"
    where = {"--data-root": photographs, "--data-set": "road", "--root": road.root}
    given = [str(word) for option in where.items() for word in option]
    printed = CliRunner().invoke(app, ["evaluate", str(checkpoint), *given, "--json"])
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout)["iou"] == pytest.approx(results(road, 1)["rows"][-1]["iou"])


def test_the_report_has_every_class_and_no_background(road: Clone) -> None:
    reports = road.root / "reports"
    assert list(json.loads((reports / "metrics.json").read_text())["per_class_iou"]) == list(CLASSES)
    page = (reports / "index.md").read_text()
    assert "| sky |" in page
    assert "| background |" not in page
