"""Where runs are kept, how the store is opened, and how runs are found in it."""

import json
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from ssul.tracking import store as stores
from ssul.tracking.metrics import metric_points
from ssul.tracking.store import TrackingError, how_to_open, is_on, open_store, store_uri
from ssul.tracking.view import VIEW, page_tags
from tests.tracking.examples import PROJECT, ROWS, client, runs


def test_a_relative_database_and_its_artifacts_lie_in_the_main_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///team/runs.db")
    assert store_uri() == f"sqlite:///{tmp_path.resolve()}/team/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///./e?timeout=9")
    assert store_uri() == f"sqlite:///{tmp_path.resolve()}/e?timeout=9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere/runs.db")
    assert store_uri() == "sqlite:////elsewhere/runs.db"


@pytest.mark.parametrize(("value", "on"), [("off", False), ("OFF", False), ("on", True), ("", True)])
def test_the_environment_switches_it_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("SSUL_TRACKING", value)
    assert is_on() is on


def test_a_mistyped_switch_is_named_with_what_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_TRACKING", "of")
    with pytest.raises(TrackingError, match="'of': choose on or off"):
        is_on()


def test_mlflow_is_imported_only_when_something_is_logged() -> None:
    code = (
        "import sys, ssul.tracking.follow, ssul.tracking.collect, ssul.tracking.runs; sys.exit('mlflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


# ---- where it is ----------------------------------------------------------------------------------------------------


def test_runs_of_dvcs_temporary_folders_go_to_the_main_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    own = f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert store_uri() == own
    assert how_to_open() == "make ui"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own)
    assert how_to_open() == "make ui"


UI = "MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("https://me:secret@example.org", "https://example.org"),
        ("sqlite:////tmp/other.db", f"{UI} sqlite:////tmp/other.db"),
        ("postgresql://me:secret@db/mlflow", f"{UI} postgresql://db/mlflow"),
    ],
)
def test_the_way_to_another_store_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, uri: str, told: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert how_to_open() == told


def test_artifacts_of_dvcs_temporary_folders_go_to_the_main_folder_too(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store() as store:
        place = client().get_experiment(store.experiment_id).artifact_location
    assert place == (project.resolve() / "mlruns").as_uri()


@pytest.mark.usefixtures("project")
def test_the_experiment_is_made_once() -> None:
    ids = set()
    for _ in range(2):
        with open_store() as store:
            ids.add(store.experiment_id)
    assert len(ids) == 1


# ---- finding runs ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_an_experiments_run_is_made_once_and_another_experiments_is_another() -> None:
    with open_store() as store:
        first = store.find_or_create("one", "a name")
        assert store.find_or_create("one", "another name") == first
        assert store.find_or_create("two", "a name") != first
    assert client().get_run(first).info.run_name == "a name"


@pytest.mark.usefixtures("project")
def test_a_run_in_the_bin_is_not_found() -> None:
    with open_store() as store:
        first = store.find_or_create("one", "a name")
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


# ---- one after the other --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_two_that_want_the_store_alone_have_it_one_after_the_other() -> None:
    spans: list[tuple[float, float]] = []

    def take() -> None:
        with open_store() as store, store.locked():
            began = time.monotonic()
            time.sleep(0.1)
            spans.append((began, time.monotonic()))

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
    assert f"mlflow.sharedViewState.{VIEW.partition('=')[2]}" in tags


def test_every_score_of_the_view_is_one_that_runs_have() -> None:
    state = json.loads(page_tags()["mlflow.sharedViewState.ssul"])
    columns = [name.removeprefix("metrics.").strip("`") for name in state["selectedColumns"] if "metrics." in name]
    charts = [name for chart in state["compareRunCharts"] for name in chart["selectedMetricKeys"]]
    assert {*columns, *charts} <= {key for key, _, _ in metric_points(ROWS)}


def test_mlflow_takes_the_tags_whole() -> None:
    assert all(len(value) <= 5000 for value in page_tags().values())


# ---- many runs ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_among_a_thousand_runs_an_experiments_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    with open_store() as store:
        known = [store.create(f"run {number}", {stores.FINGERPRINT_TAG: f"{number:064x}"}) for number in range(1000)]
        seconds = {}
        for what, fingerprint in {"known": f"{123:064x}", "new": "f" * 64, "just made": "f" * 64}.items():
            began = time.perf_counter()
            found = store.find_or_create(fingerprint, "name")
            seconds[what] = time.perf_counter() - began
            assert (found in known) is (what == "known")
        assert store.find_or_create(f"{123:064x}", "name") == known[123]
    assert len(runs()) == 1001
    told = ", ".join(f"{what} {taken:.3f} s" for what, taken in seconds.items())
    with capsys.disabled():
        sys.stdout.write(f"\nfind_or_create among 1000 runs: {told}\n")
