"""The process that logs a running training to MLflow, with real processes and a real store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.scenario.splits import Split
from ssul.tracking.live import live_logger
from tests.project import composed_text
from tests.tracking.examples import PROJECT, Points, children, parents, points

pytestmark = pytest.mark.slow

FIRST, SECOND = ({"iteration": at, "loss": 1 / at, "lr": 0.1, "images_per_second": 9.0} for at in (10, 20))
TRAINING = """
import json, signal, sys, time
from pathlib import Path
from ssul.config.load import load_params
from ssul.tracking.live import live_logger
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell, such as a test run, ignores it
with live_logger(1, load_params(Path("params.yaml"))) as live:
    live.show(json.loads(sys.argv[1]))
    time.sleep(300)
"""


@pytest.fixture(autouse=True)
def _at_once(workplace: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_LIVE_AFTER", "0")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))  # the working folder is another one


def wait_for(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def logged() -> Points:
    """The losses in the only training's run; none before the run is made."""
    below = [child for run in parents() for child in children(run.info.run_id).values()]
    return [point for child in below for point in points(child.info.run_id, "loss")]


def statuses() -> list[str]:
    """Of the experiment's run, and of its training's."""
    (run,) = parents()
    (child,) = children(run.info.run_id).values()
    return [run.info.status, child.info.status]


def left(layout: Layout) -> list[Path]:
    return list(layout.live.iterdir())


def test_points_are_in_mlflow_while_the_training_runs_and_the_journal_is_removed_after_it(
    workplace: Layout, settings: Params, capfd: pytest.CaptureFixture[str]
) -> None:
    with live_logger(1, settings) as live:
        live.show(FIRST)
        wait_for(logged)
        assert statuses() == ["RUNNING", "RUNNING"]
        live.show(SECOND)
        wait_for(lambda: len(logged()) == 2)
    wait_for(lambda: not left(workplace))
    assert statuses() == ["SCHEDULED", "FINISHED"]  # the experiment waits for its next step
    assert logged() == [(10, 0.1), (20, 0.05)]
    (run,) = parents()
    assert run.info.run_name == "ssul shapes 6-2 overlapped small"
    assert list(children(run.info.run_id)) == [f"step 1: {', '.join(Split.read(workplace.split(1)).new_names)}"]
    assert capfd.readouterr().err == ""


def test_the_run_is_that_of_the_parameters_that_the_training_began_with(workplace: Layout, settings: Params) -> None:
    with live_logger(1, settings) as live:
        workplace.params.write_text(composed_text("seed=3"), encoding="utf-8")
        live.show(FIRST)
        wait_for(logged)
    (run,) = parents()
    assert run.data.params["seed"] == "0"
    wait_for(lambda: not left(workplace))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_training_that_is_ended_leaves_its_runs_failed(workplace: Layout, how: signal.Signals) -> None:
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING, json.dumps(FIRST)], start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(logged)
        os.killpg(training.pid, how)  # as Ctrl-C does: to all processes of the training
        training.wait(timeout=60)
    finally:
        training.kill()
    wait_for(lambda: not left(workplace))
    assert statuses() == ["FAILED", "FAILED"]
    assert logged() == [(10, 0.1)]


def test_a_dead_server_costs_one_warning_without_its_password_and_leaves_nothing(
    workplace: Layout, settings: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with live_logger(1, settings) as live:
        live.show(FIRST)
        wait_for(lambda: any(path.suffix == ".trouble" for path in left(workplace)))
        live.show(SECOND)
        time.sleep(3)  # the reader has ended by then
    error = capsys.readouterr().err
    assert error.count("warning") == 1
    assert "http://127.0.0.1:9 cannot be used" in error
    assert "secret" not in error
    wait_for(lambda: not left(workplace))
