"""Where runs are kept, how the store is opened, and what happens where it cannot be."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from filelock import FileLock

from ssul.tracking import store as stores
from ssul.tracking.store import TrackingError, how_to_open, is_on, opened, store_uri
from tests.tracking.examples import PROJECT, client, runs


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
    assert store_uri() == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert how_to_open() == "make ui"


def test_another_store_that_is_the_projects_own_is_opened_as_the_projects_own(project: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.resolve()}/mlflow.db")
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
    with opened() as store:
        place = client().get_experiment(store.experiment_id).artifact_location
    assert place == (project.resolve() / "mlruns").as_uri()


@pytest.mark.usefixtures("project")
def test_the_experiment_is_made_once() -> None:
    ids = set()
    for _ in range(2):
        with opened() as store:
            ids.add(store.experiment_id)
    assert len(ids) == 1


# ---- finding runs ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_an_experiments_run_is_made_once_and_another_experiments_is_another() -> None:
    with opened() as store:
        first = store.find_or_create("one", "a name")
        assert store.find_or_create("one", "another name") == first
        assert store.find_or_create("two", "a name") != first
    assert client().get_run(first).info.run_name == "a name"


@pytest.mark.usefixtures("project")
def test_a_run_in_the_bin_is_not_found() -> None:
    with opened() as store:
        first = store.find_or_create("one", "a name")
        store.client.delete_run(first)
        assert store.find_or_create("one", "a name") != first


@pytest.mark.usefixtures("project")
def test_each_step_of_each_experiment_has_one_run_below_it() -> None:
    with opened() as store:
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
        with opened() as store, store.alone():
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


def test_a_store_that_another_process_keeps_for_itself_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_LOCK_SECONDS", 0.2)
    with FileLock(project / "mlflow.db.lock"), pytest.raises(TrackingError, match=r"mlflow\.db\.lock") as caught:
        open_it()
    assert "\n" not in str(caught.value)


# ---- where it cannot be opened --------------------------------------------------------------------------------------


def open_it() -> None:
    with opened():
        pass


@pytest.mark.usefixtures("project")
def test_a_server_that_does_not_answer_is_one_line_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9 cannot be used") as caught:
        open_it()
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("project")
def test_a_server_that_hangs_is_one_line_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, silent_server: int
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{silent_server}")
    with pytest.raises(TrackingError, match="cannot be used") as caught:
        open_it()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_store_that_cannot_be_opened_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "folder").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/folder")
    with pytest.raises(TrackingError, match="unable to open database file"):
        open_it()


def test_a_file_that_is_no_store_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "notes.db").write_text("no database " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/notes.db")
    with pytest.raises(TrackingError, match="file is not a database") as caught:
        open_it()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("project")
def test_a_missing_mlflow_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(TrackingError, match=r"install ssul\[pipeline\].*SSUL_TRACKING=off"):
        open_it()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("before", [270, 280, 290])
def test_what_a_backend_raises_is_one_line_without_passwords_wherever_it_is_cut(before: int) -> None:
    with pytest.raises(TrackingError) as caught, opened():
        raise RuntimeError("x" * before + "\nat http://somebody:secret-words@example.org/mlflow")
    told = str(caught.value)
    assert "\n" not in told
    assert "somebody" not in told
    assert "secret" not in told


# ---- many runs ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_among_a_thousand_runs_an_experiments_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    with opened() as store:
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
