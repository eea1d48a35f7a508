"""`ssul doctor` finds what would keep an experiment from running, and makes nothing."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.cli.doctor_checks import duration
from ssul.data.layout import ImagePaths, SplitFiles
from tests.conftest import HandmadeDataset
from tests.project import PROJECT, composed

MINE = ("-S", "data=toys", "-S", "scenario.base_classes=1", "-S", "scenario.increment=1")
PLACES = {"image": "photos/{id}.png", "mask": "masks/{id}.png"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose dataset `toys` has two classes and ten images."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    book = HandmadeDataset(ImagePaths(tmp_path / "toys", SplitFiles(**PLACES)))
    for number in range(10):
        book.add(f"a{number}", [[0, 1 + number % 2]], image=np.zeros((1, 2, 3)))
    custom = {"classes": ["hat", "ball"], "train": PLACES, "val_share": 0.2}
    params = composed("model.width=8", "recipe.crop=32", "scenario.base_classes=1", "scenario.increment=1")
    data = params["data"] | {"name": "toys", "root": "toys", "shapes": None, "saliency": "none", "custom": custom}
    copytree(PROJECT / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "data" / "toys.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"data": data}))
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def doctor(root: Path, *words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and the state and the text of each line by its word."""
    result = CliRunner().invoke(app, ["doctor", "--root", str(root), *words])
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    return result.exit_code, {what: (state, text) for state, what, text in lines}


def test_a_sound_project_is_found_sound_with_an_estimate_and_nothing_is_made(project: Path) -> None:
    before = sorted(project.rglob("*"))
    code, lines = doctor(project)
    assert code == 0, lines
    assert [*lines] == ["versions", "project", "device", "memory", "data", "weights", "tracking", "time", "disk"]
    assert lines["data"][1].endswith("toys: 8 training and 2 validation images; 10 looked at")
    assert lines["time"][1].startswith("an estimate: ")
    assert "for 1 increments, without evaluation" in lines["time"][1]
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "what", "text"),
    [
        (("-S", "data=tois"), "project", "there is no conf/data/tois.yaml: choose "),
        (("-S", "recipe.increment.lr=-1"), "project", "recipe.increment.lr is -1: input should be greater than 0"),
        ((*MINE, "-S", "data.root=nowhere"), "data", "is not a folder"),
        ((*MINE, "-S", "data.root=empty"), "data", "there is no training image"),
    ],
)
def test_what_is_wrong_with_the_data_is_a_problem(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], what: str, text: str
) -> None:
    (project / "empty").mkdir()
    monkeypatch.chdir(project / "empty")
    code, lines = doctor(project, "--no-time", *words)
    assert code == 1
    assert lines[what][0] == "problem"
    assert text in lines[what][1]


def test_a_mask_with_a_foreign_value_and_missing_weights_are_problems(project: Path) -> None:
    HandmadeDataset(ImagePaths(project / "toys", SplitFiles(**PLACES))).add("a3", [[0, 9]], image=np.zeros((1, 2, 3)))
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["model"]["weights"] = "imagenet"
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    code, lines = doctor(project, "--no-time")
    assert code == 1
    assert "1 of 10 cannot be used: a3: its mask holds [9]" in lines["data"][1]
    assert lines["weights"] == (
        "problem",
        "model.weights is 'imagenet', which small does not have: choose pretrained, none, or a file",
    )


def test_the_weights_of_a_backbone_of_timm_are_downloaded_later(project: Path) -> None:
    _, lines = doctor(project, "--no-time", "-S", "model.backbone=timm:resnet18", "-S", "model.weights=imagenet")
    assert lines["weights"] == ("warning", "timm's of timm:resnet18 are downloaded when the training starts")


def test_outside_a_project_nothing_else_is_looked_at(tmp_path: Path) -> None:
    code, lines = doctor(tmp_path)
    assert code == 1
    assert [*lines] == ["versions", "project"]


def test_it_looks_at_the_experiment_that_dvc_would_run_with_the_same_overrides(project: Path) -> None:
    (project / "params.yaml").write_text(yaml.safe_dump(composed()))  # another one
    small = ("-S", "model.width=8", "-S", "recipe.crop=32", "-S", "method=mib")
    code, lines = doctor(project, "--no-time", *MINE, *small)
    assert code == 0, lines
    assert lines["project"][1].endswith("mib learns 1 + 1 classes of toys with small")
    assert "toys: 8 training and 2 validation images" in lines["data"][1]


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (12600, "3.5 h")])
def test_times_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text
