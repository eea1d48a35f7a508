"""Finished runs are read back from MLflow: all of them, the latest first, and nothing else."""

from pathlib import Path

import pytest

from ssul.tracking import collect
from ssul.tracking.collect import finished_runs
from ssul.tracking.runs import log_finished
from ssul.tracking.store import open_store
from tests.tracking.examples import ROWS, finished


def ids() -> list[str]:
    return [run.id for run in finished_runs()]


def make_run(fingerprint: str, *, ended: int, status: str = "FINISHED") -> str:
    """Makes a run that ended at a time."""
    with open_store() as store:
        run_id = store.find_or_create(fingerprint, fingerprint)
        store.client.set_terminated(run_id, status, end_time=ended)
    return run_id


def test_a_finished_run_has_its_tags_parameters_and_last_scores(project: Path) -> None:
    assert finished_runs() == []
    run_id = log_finished(finished(project, curves=()))
    (run,) = finished_runs()
    assert run.id == run_id
    assert run.params == {"seed": "0", "data.root": "None"}
    assert run.tags["scenario"] == "voc_15-1"
    assert run.scores["miou_all"] == 0.25
    assert run.scores["per_class_iou/cat"] == 0.0
    assert run.ended > 1.7e12


def test_an_undefined_score_is_missing(project: Path) -> None:
    log_finished(finished(project, rows=ROWS[:1], curves=()))
    (run,) = finished_runs()
    assert "miou_new" not in run.scores
    assert run.scores["miou_old"] == 0.5


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("page", [1, 2, 5, 1000])
def test_all_runs_are_there_the_latest_first_on_any_page_size(monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(collect, "_PAGE", page)
    made_at = {ended: make_run(f"run {ended}", ended=ended) for ended in (3000, 1000, 5000, 2000, 4000)}
    assert ids() == [made_at[ended] for ended in sorted(made_at, reverse=True)]


def test_running_failed_and_deleted_runs_and_those_of_steps_are_not_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_PAGE", 2)
    logged = [log_finished(finished(project, of)) for of in ("one", "two", "three")]
    make_run("failed", ended=2, status="FAILED")
    make_run("killed", ended=3, status="KILLED")
    binned = make_run("binned", ended=4)
    with open_store() as store:
        store.find_or_create("running", "running")
        store.client.delete_run(binned)
    assert ids() == logged[::-1]
