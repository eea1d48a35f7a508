"""Finished runs are read back: the latest first, all of them, and nothing else."""

from pathlib import Path

import pytest

from ssul.tracking import collect
from ssul.tracking.collect import finished_runs
from ssul.tracking.runs import log_finished
from ssul.tracking.store import open_store
from tests.tracking.examples import ROWS, finished


def ids() -> list[str]:
    return [run.id for run in finished_runs()]


def made(fingerprint: str, *, ended: int, status: str = "FINISHED") -> str:
    """Makes a run that ended at a time."""
    with open_store() as store:
        run_id = store.find_or_create(fingerprint, fingerprint)
        store.client.set_terminated(run_id, status, end_time=ended)
    return run_id


@pytest.mark.usefixtures("project")
def test_a_store_in_which_nothing_was_logged_has_no_run() -> None:
    assert finished_runs() == []


def test_a_finished_run_has_its_tags_parameters_and_last_scores(project: Path) -> None:
    run_id = log_finished(finished(project, curves=()))
    (run,) = finished_runs()
    assert run.id == run_id
    assert run.params == {"seed": "0", "data.root": "None"}
    assert run.tags["scenario"] == "voc_15-1"
    assert run.scores["miou_all"] == 0.25
    assert run.scores["iou/cat"] == 0.0
    assert run.ended > 1.7e12


def test_a_score_that_is_undefined_is_missing(project: Path) -> None:
    log_finished(finished(project, rows=ROWS[:1], curves=()))
    (run,) = finished_runs()
    assert "miou_new" not in run.scores
    assert run.scores["miou_old"] == 0.5


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("page", [1, 2, 3, 5, 1000])
def test_all_runs_are_there_the_latest_first_whatever_a_page_holds(monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(collect, "_PAGE", page)
    made_at = {ended: made(f"run {ended}", ended=ended) for ended in (3000, 1000, 5000, 2000, 4000)}
    assert ids() == [made_at[ended] for ended in sorted(made_at, reverse=True)]


@pytest.mark.usefixtures("project")
def test_what_runs_or_failed_or_is_in_the_bin_is_not_there() -> None:
    kept = made("kept", ended=1)
    made("failed", ended=2, status="FAILED")
    made("killed", ended=3, status="KILLED")
    binned = made("binned", ended=4)
    with open_store() as store:
        store.find_or_create("running", "running")
        store.client.delete_run(binned)
    assert ids() == [kept]


def test_the_runs_of_steps_are_not_there_on_any_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "_PAGE", 2)
    logged = [log_finished(finished(project, of)) for of in ("one", "two", "three")]
    assert ids() == logged[::-1]
