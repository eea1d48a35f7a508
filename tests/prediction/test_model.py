"""A loaded model predicts what the pipeline's evaluation predicts."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from PIL import Image

from ssul.data.dataset import SegmentationDataset
from ssul.datasets.catalog import find_dataset
from ssul.errors import UserError
from ssul.evaluation.evaluate import evaluate_images
from ssul.evaluation.examples import save_examples
from ssul.evaluation.protocol import Protocol
from ssul.inference.trained_model import TrainedModel
from ssul.labels.background import Background
from ssul.labels.space import LabelSpace
from ssul.prediction.model import Model, load
from tests.onlooker import NAMES, SPACE

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

PALETTE = find_dataset("shapes").palette


@pytest.fixture
def model(onlooker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    return load(onlooker())


@pytest.mark.parametrize("background", [True, False])
def test_a_prediction_is_the_example_that_the_evaluation_writes(
    onlooker: Callable[..., Path],
    book: "HandmadeDataset",
    photograph: NDArray[np.uint8],
    tmp_path: Path,
    background: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    book.add("one", np.zeros((90, 130)), image=photograph)
    trained = TrainedModel.load(onlooker())
    evaluated = evaluate_images(
        trained.model,
        trained.labels,
        SegmentationDataset(book.folders),
        ["one"],
        protocol=Protocol(Fabric(accelerator="cpu", devices=1), "ignore", "auto", None, "all"),
        background=Background(possible=background, predicted=background),
    )
    save_examples(evaluated, tmp_path, step=2, palette=PALETTE)
    result = load(onlooker(), background=background).predict(book.folders.image("one"))
    result.save(tmp_path, "mine")
    with Image.open(tmp_path / "one" / "step_2.png") as theirs, Image.open(tmp_path / "masks" / "mine.png") as mine:
        assert len(np.unique(theirs)) > 1
        assert np.array_equal(mine, theirs)
        assert mine.getpalette() == theirs.getpalette()


def test_a_model_knows_its_classes_by_id(model: Model) -> None:
    assert model.names == {0: "background", 1: "ball", 2: "star", 3: "house"}
    assert model.palette == PALETTE
    assert repr(model) == "<ssul.Model of 3 classes on cpu: ball, star, house>"


def test_a_result_says_what_it_shows(model: Model, photograph: NDArray[np.uint8]) -> None:
    result = model.predict(photograph)
    assert result.mask.shape == (90, 130)
    assert set(result.classes) <= {"background", *NAMES}
    assert sum(result.classes.values()) == pytest.approx(1)
    assert list(result.classes.values()) == sorted(result.classes.values(), reverse=True)
    assert result.classes["ball"] == (result.mask == 1).mean()
    assert result.unknown is None


def test_the_unknown_is_shown_where_nothing_is_predicted(model: Model, photograph: NDArray[np.uint8]) -> None:
    result = model.predict(photograph, unknown=True)
    assert np.array_equal(result.mask, model.predict(photograph).mask)
    assert result.unknown is not None
    assert result.unknown_score is not None
    assert 0 < result.unknown.mean() < 1
    assert not result.mask[result.unknown].any()
    assert 0 <= result.unknown_score.min() < result.unknown_score.max() <= 1


def test_a_large_image_is_seen_in_windows(model: Model, photograph: NDArray[np.uint8]) -> None:
    large = np.tile(photograph, (1, 2, 1))
    assert model.predict(large, window=256).mask.shape == (90, 260)
    assert model.predict(photograph, window=130).mask.shape == (90, 130)
    with pytest.raises(UserError, match="the window is 127 pixels: choose 128 or more"):
        model.predict(large, window=127)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (17, 3)])
def test_images_of_any_size_are_predicted(model: Model, size: tuple[int, int]) -> None:
    assert model.predict(np.zeros((*size, 3), dtype=np.uint8), unknown=True).mask.shape == size
    assert model.predict(np.zeros((*size, 3), dtype=np.uint8), window=128).mask.shape == size


@pytest.mark.parametrize(
    "labels",
    [
        LabelSpace(SPACE.groups, unknown=False, activation="softmax"),
        LabelSpace(SPACE.groups, unknown=True, activation="sigmoid", constant_background=True),
        LabelSpace(SPACE.groups, unknown=False, activation="sigmoid", constant_background=True),
        LabelSpace(SPACE.groups, unknown=True, activation="softmax"),
    ],
    ids=["mib", "dkd", "star", "ssul with softmax"],
)
def test_checkpoints_of_every_method_predict(
    labels: LabelSpace, onlooker: Callable[..., Path], photograph: NDArray[np.uint8]
) -> None:
    model = load(onlooker(labels, "deeplabv3plus"))
    assert set(np.unique(model.predict(photograph).mask)) <= set(model.names)
    if labels.unknown and not labels.constant_background:
        assert model.predict(photograph, unknown=True).unknown is not None
    else:
        with pytest.raises(UserError, match="has no unknown class to show"):
            model.predict(photograph, unknown=True)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(UserError, match="is missing"):
        load(tmp_path)


def test_predicting_changes_nothing_in_the_image(model: Model, photograph: NDArray[np.uint8]) -> None:
    before = photograph.copy()
    model.predict(photograph).overlay()
    assert np.array_equal(photograph, before)
    assert torch.is_grad_enabled()
