"""The MLflow store: its place, how it is opened, and how runs are found in it."""

import json
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from ssul.tracking.metrics import metric_points
from ssul.tracking.store import TrackingError, how_to_open, is_on, open_store, store_uri
from ssul.tracking.view import VIEW, page_tags
from tests.tracking.examples import PROJECT, ROWS, client, runs

UI = "MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri"


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("", "sqlite:///{root}/mlflow.db"),
        ("sqlite:///team/runs.db", "sqlite:///{root}/team/runs.db"),
        ("sqlite:///./e?timeout=9", "sqlite:///{root}/e?timeout=9"),
        ("sqlite:////elsewhere/runs.db", "sqlite:////elsewhere/runs.db"),
    ],
)
def test_a_relative_database_lies_in_the_main_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, uri: str
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert store_uri() == uri.format(root=tmp_path.resolve())


@pytest.mark.parametrize(
    ("uri", "command"),
    [
        ("", "make ui"),
        ("sqlite:///mlflow.db", "make ui"),
        ("https://me:secret@example.org", "https://example.org"),
        ("sqlite:////tmp/other.db", f"{UI} sqlite:////tmp/other.db"),
        ("postgresql://me:secret@db/mlflow", f"{UI} postgresql://db/mlflow"),
    ],
)
def test_the_command_that_opens_the_store_holds_no_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str, command: str
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert how_to_open() == command


def test_the_environment_switches_tracking_off_and_an_invalid_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, on in (("off", False), ("on", True)):
        monkeypatch.setenv("SSUL_TRACKING", value)
        assert is_on() is on
    monkeypatch.setenv("SSUL_TRACKING", "of")
    with pytest.raises(TrackingError, match="SSUL_TRACKING is 'of'"):
        is_on()


def test_mlflow_is_imported_only_to_log() -> None:
    modules = "ssul.tracking.follow, ssul.tracking.collect, ssul.tracking.runs"
    code = f"import sys, {modules}; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def test_the_experiment_is_made_once_and_its_artifacts_lie_in_the_main_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # as in one of DVC's temporary folders
    ids = set()
    for _ in range(2):
        with open_store() as store:
            ids.add(store.experiment_id)
    (experiment_id,) = ids
    assert client().get_experiment(experiment_id).artifact_location == (project.resolve() / "mlruns").as_uri()


# ---- finding runs ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_an_experiment_has_one_run_until_it_is_deleted() -> None:
    with open_store() as store:
        first = store.find_or_create("one", "a name")
        assert store.find_or_create("one", "another name") == first
        assert store.find_or_create("two", "a name") != first
        assert client().get_run(first).info.run_name == "a name"
        store.client.delete_run(first)
        assert store.find_or_create("one", "a name") != first


@pytest.mark.usefixtures("project")
def test_each_step_of_each_experiment_has_one_run_below_it() -> None:
    with open_store() as store:
        one, two = (store.find_or_create(name, name) for name in ("one", "two"))
        steps = [(one, 1), (one, 11), (two, 1)]
        first = [store.find_or_create_child(run, step, "step") for run, step in steps]
        assert [store.find_or_create_child(run, step, "other") for run, step in steps] == first
    assert len({one, two, *first}) == 5
    assert len(runs()) == 5


@pytest.mark.usefixtures("project")
def test_the_lock_is_held_by_one_at_a_time() -> None:
    spans: list[tuple[float, float]] = []

    def take() -> None:
        with open_store() as store, store.locked():
            start = time.monotonic()
            time.sleep(0.1)
            spans.append((start, time.monotonic()))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans.sort()
    assert len(spans) == 3
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


# ---- the view of MLflow's page --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_a_new_experiment_has_the_view_that_its_address_names() -> None:
    with open_store() as store:
        tags = client().get_experiment(store.experiment_id).tags
    assert page_tags().items() <= tags.items()
    assert f"mlflow.sharedViewState.{VIEW.rpartition('=')[2]}" in tags


def test_the_view_fits_in_a_tag_and_shows_scores_that_runs_have() -> None:
    assert all(len(value) <= 5000 for value in page_tags().values())
    state = json.loads(page_tags()["mlflow.sharedViewState.ssul"])
    columns = [name.removeprefix("metrics.").strip("`") for name in state["selectedColumns"] if "metrics." in name]
    charts = [name for chart in state["compareRunCharts"] for name in chart["selectedMetricKeys"]]
    assert {*columns, *charts} <= {key for key, _, _ in metric_points(ROWS)}
