"""A checkpoint is named by its folder, by the id of its run, or by a name of its experiment."""

from pathlib import Path

import pytest

from ssul.errors import UserError
from ssul.prediction import source
from ssul.prediction.source import checkpoint_folder
from ssul.tracking.collect import LoggedRun
from ssul.tracking.store import TrackingError


def run(run_id: str, name: str, experiment: str) -> LoggedRun:
    return LoggedRun(run_id, {"mlflow.runName": name, "dvc.experiment": experiment}, {}, {}, 0)


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs, two of which have one name; the checkpoint of each holds its id."""
    runs = [run("1a", "ssul voc 15-1", "lanky-mows"), run("2b", "ssul voc 15-1", "tart-ears"), run("3c", "mib", "x")]

    def fetch(run_id: str, name: str, folder: Path) -> Path:
        if run_id not in {one.id for one in runs}:
            raise TrackingError(f"no run {run_id}")
        (folder / name).write_text(run_id)
        return folder / name

    monkeypatch.setattr(source, "finished_runs", lambda: runs)
    monkeypatch.setattr(source, "fetch_artifact", fetch)


@pytest.mark.parametrize("name", ["runs:/2b", "runs:/2b/checkpoint", "2b", "tart-ears"])
def test_a_run_is_found_by_its_id_or_by_a_name_of_its_own(name: str) -> None:
    with checkpoint_folder(name) as found:
        assert (found.name, found.read_text()) == ("checkpoint", "2b")
    assert not found.exists()


def test_a_folder_is_itself_and_stays(tmp_path: Path) -> None:
    for name in (tmp_path, str(tmp_path)):
        with checkpoint_folder(name) as found:
            assert found == tmp_path
    assert tmp_path.exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ssul voc 15-1", "2 runs are named ssul voc 15-1: choose one by its id, the latest first: runs:/1a, runs:/2b"),
        ("data/step_9", r"data/step_9 is neither a folder nor an experiment: .* \(finished runs: 3\)"),
        ("runs:/9", "the checkpoint runs:/9 cannot be fetched: no run 9"),
    ],
)
def test_a_name_of_none_or_of_several_is_refused(name: str, why: str) -> None:
    with pytest.raises(UserError, match=why), checkpoint_folder(name):
        pass
