"""A project's folder may be moved: the runs then name their artifacts at the new place."""

import shutil
from pathlib import Path

import pytest

from ssul.tracking.database import experiment_id
from ssul.tracking.runs import log_finished
from ssul.tracking.store import EXPERIMENT, open_store, page_address
from tests.tracking.examples import client, files, finished


def test_the_artifacts_of_a_moved_project_are_found_and_new_ones_lie_beside_them(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = log_finished(finished(project))
    kept = files(run_id)
    moved = tmp_path / "moved"
    project.rename(moved)
    monkeypatch.setenv("DVC_ROOT", str(moved))
    monkeypatch.chdir(moved)
    with open_store():
        pass
    assert files(run_id) == kept
    assert Path(client().download_artifacts(run_id, "index.md")).read_bytes() == b"page"
    other = log_finished(finished(moved, "other"))
    for one in (run_id, other):
        assert client().get_run(one).info.artifact_uri.startswith((moved / "mlruns").as_uri())
    shutil.rmtree(moved / "mlruns")
    with open_store() as store:  # nothing lies there to be found, and nothing breaks
        assert store.client.get_run(run_id).info.run_id == run_id


def test_the_address_of_the_table_names_the_experiment_where_there_is_one(project: Path) -> None:
    assert experiment_id(project / "nowhere.db", EXPERIMENT) is None
    assert page_address("http://here") == "http://here/#/experiments"
    with open_store() as store:
        number = store.experiment_id
    assert page_address("http://here").startswith(f"http://here/#/experiments/{number}/runs?")
