"""The network that was logged comes back, bit for bit, or nothing does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssul.errors import UserError
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.tracking.fetch import fetch_checkpoint, open_checkpoint
from ssul.tracking.runs import log_finished
from ssul.tracking.store import TrackingError
from tests.tracking.examples import finished

MEANING = {"labels": {"groups": [[1, 2]], "unknown": True}, "class_names": ["cat", "Ähre"]}


@pytest.fixture
def model() -> IncrementalDeepLab:
    torch.manual_seed(3)
    return IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 2))


@pytest.fixture
def checkpoint(tmp_path: Path, model: IncrementalDeepLab) -> Path:
    folder = tmp_path / "checkpoint of a step"
    save_checkpoint(folder, model, MEANING, {"step": 1})
    return folder


@pytest.fixture
def run_id(project: Path, checkpoint: Path) -> str:
    """A run whose checkpoint is a real network."""
    return log_finished(replace(finished(project), artifacts={"checkpoint": checkpoint}))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_logged_files_come_back_bit_for_bit_in_place_of_another_checkpoint(
    run_id: str, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    for _ in range(2):
        fetch_checkpoint(run_id, tmp_path / "out")
        assert bytes_of(tmp_path / "out") == bytes_of(checkpoint)
        (tmp_path / "out" / "head_9.safetensors").write_text("of the one before")


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(run_id: str, tmp_path: Path) -> None:
    place = tmp_path / "models"
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="models is there and holds no checkpoint: name a new folder"):
        fetch_checkpoint(run_id, place)
    with pytest.raises(UserError, match="holds no checkpoint"):
        fetch_checkpoint(run_id, place / "thesis.tex")
    assert (place / "thesis.tex").read_text() == "years of work"


def test_the_logged_network_opens_bit_for_bit(run_id: str, model: IncrementalDeepLab) -> None:
    opened, meaning = open_checkpoint(run_id)
    assert meaning == MEANING
    assert not opened.training
    assert opened.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in opened.state_dict().items())


def test_it_comes_back_though_the_projects_own_is_gone(run_id: str, checkpoint: Path) -> None:
    for path in checkpoint.iterdir():
        path.unlink()
    open_checkpoint(run_id)


@pytest.mark.usefixtures("project")
def test_an_unknown_run_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.json").write_text("old")
    with pytest.raises(TrackingError, match="0123456789abcdef") as caught:
        fetch_checkpoint("0123456789abcdef0123456789abcdef", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.json"]
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_a_run_without_a_checkpoint_is_one_line(project: Path, tmp_path: Path) -> None:
    run_id = log_finished(replace(finished(project), artifacts={}))
    with pytest.raises(TrackingError, match="checkpoint") as caught:
        fetch_checkpoint(run_id, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_is_not_whole_is_refused(project: Path, checkpoint: Path) -> None:
    (checkpoint / "head_0.safetensors").unlink()
    run_id = log_finished(replace(finished(project), artifacts={"checkpoint": checkpoint}))
    with pytest.raises(UserError, match=r"head_0\.safetensors is missing"):
        open_checkpoint(run_id)
