"""A store that cannot be used is one line without a password, within seconds."""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from ssul.tracking import store as stores
from ssul.tracking.collect import finished_runs
from ssul.tracking.follow import follow
from ssul.tracking.runs import log_finished
from ssul.tracking.store import TrackingError, open_store
from tests.tracking.examples import experiment, finished

SECRET = "s3cret-word"


def assert_one_line(call: Callable[[], object], words: str) -> None:
    """The call raises one line that holds the words and no password."""
    start = time.monotonic()
    with pytest.raises(TrackingError, match=words) as caught:
        call()
    assert time.monotonic() - start < 20
    for absent in ("\n", SECRET, "somebody"):
        assert absent not in str(caught.value)


def open_it() -> None:
    with open_store():
        pass


def follow_it() -> None:
    Path("step_1.jsonl").touch()
    follow(Path("step_1.jsonl"), experiment(), 1, ["sheep"], lambda _: False)


CALLS = {"open": open_it, "log": lambda: log_finished(finished(Path())), "follow": follow_it, "collect": finished_runs}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:{SECRET}@127.0.0.1:9")
    assert_one_line(call, r"http://127\.0\.0\.1:9 cannot be used")


@pytest.mark.usefixtures("project")
def test_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:{SECRET}@127.0.0.1:{port}")
        assert_one_line(open_it, "cannot be used")


def test_a_file_that_is_not_a_store(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "runs.db").write_text("not a database " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/runs.db")
    assert_one_line(open_it, "file is not a database")


def test_a_store_that_another_process_keeps_locked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_LOCK_SECONDS", 0.2)
    with FileLock(project / "mlflow.db.lock"):
        assert_one_line(open_it, r"mlflow\.db\.lock")


@pytest.mark.usefixtures("project")
def test_a_missing_mlflow_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    assert_one_line(open_it, r"install ssul\[pipeline\].*SSUL_TRACKING=off")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("before", [270, 280, 290])
def test_an_exception_of_a_backend_wherever_it_is_cut(before: int) -> None:
    def fail() -> None:
        with open_store():
            raise RuntimeError("x" * before + f"\nat http://somebody:{SECRET}@example.org/mlflow")

    assert_one_line(fail, "cannot be used")


def test_a_missing_artifact(project: Path) -> None:
    one = finished(project, curves=())
    one.artifacts["index.md"].unlink()
    assert_one_line(lambda: log_finished(one), r"index\.md")
