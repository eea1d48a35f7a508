"""Where files lie, also when an experiment runs in a copy of the project."""

from pathlib import Path

import pytest

from ssul.config.paths import Layout, data_root, weights_file
from ssul.environment import project_root


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The main folder, while the stage runs in a copy elsewhere."""
    main, copy = tmp_path / "main", tmp_path / "copy"
    main.mkdir()
    copy.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(main))
    monkeypatch.chdir(copy)
    return main


def test_the_project_is_where_dvc_says_or_the_current_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project_root() == project
    monkeypatch.delenv("DVC_ROOT")
    assert project_root() == Path()


def test_a_relative_data_root_lies_in_the_project_and_the_drawn_dataset_in_the_experiment(
    project: Path, tmp_path: Path
) -> None:
    assert data_root("data/voc", Layout()) == project / "data" / "voc"
    assert data_root(str(tmp_path / "elsewhere"), Layout()) == tmp_path / "elsewhere"
    assert data_root(None, Layout()) == Path("data/drawn")
    assert data_root(None, Layout(Path("/copy"))) == Path("/copy/data/drawn")


def test_a_weights_file_is_found_in_the_project(project: Path) -> None:
    (project / "backbone.pth").touch()
    assert weights_file("backbone.pth") == str(project / "backbone.pth")
    assert weights_file(str(project / "backbone.pth")) == str(project / "backbone.pth")


@pytest.mark.parametrize("weights", ["imagenet", "none", "missing.pth"])
def test_weights_that_are_no_file_stay_as_they_are(project: Path, weights: str) -> None:
    assert weights_file(weights) == weights


def test_every_step_has_files_of_its_own_below_the_root(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    by_step = (layout.split, layout.memory, layout.checkpoint, layout.evaluation)
    places = [place(step) for step in range(3) for place in by_step]
    places += [
        layout.index("train"),
        layout.index("val"),
        layout.drawn,
        layout.params,
        layout.metrics,
        layout.page,
        layout.split_summary,
    ]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to(tmp_path) for place in places)
