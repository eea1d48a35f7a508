"""The journal of a training and its reader: the training never waits for the reader, and never fails because of it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssul.config.load import parse_params
from ssul.errors import UserError
from ssul.tracking.live import LiveLogger, live_logger
from tests.project import composed

SETTINGS = parse_params(composed())
POINT = {"iteration": 10, "loss": 0.5, "lr": 0.1}
Captured = pytest.CaptureFixture[str]
READER = """
import pathlib, sys, time
with open("started", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
journal = pathlib.Path(sys.argv[2])
{act}
sys.stdin.read()
pathlib.Path("ended").touch()
time.sleep(1)  # when the training closes its logger, this process still runs
"""
GIVES_UP = """
whole = journal.with_suffix(".whole")  # as the real reader does: nobody sees a half-written file
whole.write_text("the store is gone")
whole.replace(journal.with_suffix(".trouble"))
sys.exit(0)
"""
Reader = Callable[[str], None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, which is the project's."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DVC_ROOT", "SSUL_LIVE_AFTER", "SSUL_TRACKING"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def reader(here: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Replaces the process that logs to mlflow by another real one, which does what it is given."""
    monkeypatch.setenv("SSUL_LIVE_AFTER", "0")

    def act(text: str) -> None:
        (here / "ssul" / "tracking").mkdir(parents=True)
        (here / "ssul" / "tracking" / "follow.py").write_text(READER.format(act=text))

    return act


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def has_ended(live: LiveLogger) -> bool:
    """Whether the reader has ended; its exit code is left to the logger."""
    process = live._reader
    assert process is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def left(here: Path) -> list[str]:
    """The names in the folder of journals."""
    return sorted(path.name for path in (here / "data" / "cache" / "live").iterdir())


def lines(here: Path) -> list[dict[str, Any]]:
    """The content of the only journal after the parameters."""
    (journal,) = (here / "data" / "cache" / "live").glob("*.jsonl")
    params, *points = journal.read_text().splitlines()
    assert parse_params(json.loads(params)) == SETTINGS
    return [json.loads(line) for line in points]


def assert_one_warning(capsys: Captured, word: str) -> None:
    error = capsys.readouterr().err
    assert error.count("warning: no live curve in MLflow") == 1
    assert error.strip().count("\n") == 0
    assert word in error


# ---- without a reader -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SSUL_LIVE_AFTER": "1000"},
        {"SSUL_LIVE_AFTER": "0", "SSUL_TRACKING": "off"},
        {"SSUL_LIVE_AFTER": "0", "SSUL_TRACKING": "of"},
    ],
    ids=str,
)
def test_no_reader_is_started_early_or_with_tracking_off_and_the_journal_is_removed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, variables: dict[str, str]
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with live_logger(1, SETTINGS) as live:
        live.show(POINT)
        assert lines(here) == [POINT]
    assert left(here) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("here")
def test_an_invalid_delay_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_LIVE_AFTER", "1,5")
    with pytest.raises(UserError, match="SSUL_LIVE_AFTER"), live_logger(1, SETTINGS):
        pass


# ---- with a reader --------------------------------------------------------------------------------------------------


def test_one_reader_is_started_for_the_step_and_ends_with_the_training(
    here: Path, reader: Reader, capsys: Captured
) -> None:
    reader("")
    with live_logger(3, SETTINGS) as live:
        live.show(POINT)
        wait_for((here / "started").exists)
        live.show(POINT)
        assert not (here / "ended").exists()
    wait_for((here / "ended").exists)
    (started,) = (here / "started").read_text().splitlines()
    assert started.startswith("3 data/cache/live/step_3.")
    assert lines(here) == [POINT, POINT, {"done": True}]  # the real reader removes the journal
    assert capsys.readouterr() == ("", "")


def test_a_training_that_fails_is_not_done_and_its_reader_ends_too(here: Path, reader: Reader) -> None:
    reader("")

    def fail() -> None:
        with live_logger(3, SETTINGS) as live:
            live.show(POINT)
            wait_for((here / "started").exists)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()
    wait_for((here / "ended").exists)
    assert lines(here) == [POINT]


def test_the_end_of_a_training_does_not_wait_for_a_reader_that_hangs(here: Path, reader: Reader) -> None:
    reader("import time; time.sleep(20); sys.exit()")
    with live_logger(1, SETTINGS) as live:
        live.show(POINT)
        wait_for((here / "started").exists)
        start = time.monotonic()
    assert time.monotonic() - start < 10


# ---- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "word"), [(GIVES_UP, "the store is gone"), ("sys.exit(3)", "3")], ids=["exit", "crash"]
)
@pytest.mark.parametrize("more", [3, 0], ids=["early", "at the end"])
def test_a_reader_that_fails_costs_one_warning_and_leaves_nothing(
    here: Path, reader: Reader, capsys: Captured, act: str, word: str, more: int
) -> None:
    reader(act)
    with live_logger(1, SETTINGS) as live:
        live.show(POINT)
        wait_for(lambda: has_ended(live))
        for _ in range(more):
            live.show(POINT)
    assert_one_warning(capsys, word)
    assert left(here) == []
    assert (here / "started").read_text().count("\n") == 1


@pytest.mark.parametrize("what", ["reader", "journal"])
def test_a_reader_that_cannot_start_or_a_lost_journal_costs_one_warning(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, what: str
) -> None:
    if what == "reader":
        monkeypatch.setenv("SSUL_LIVE_AFTER", "0")
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with live_logger(1, SETTINGS) as live:
        live.show(POINT)
        if what == "journal":
            shutil.rmtree(here / "data" / "cache")
        for _ in range(3):
            live.show(POINT)
    assert_one_warning(capsys, "/nowhere/python" if what == "reader" else "data/cache/live")
    assert not list((here / "data").glob("cache/live/*"))


def test_files_of_an_earlier_training_are_not_read_again(here: Path, reader: Reader, capsys: Captured) -> None:
    reader("")
    with live_logger(1, SETTINGS) as live:
        live.show(POINT)
        journal = live.journal
    journal.with_suffix(".trouble").write_text("of an earlier training whose process had the same number")
    with live_logger(1, SETTINGS) as live:
        live.show(POINT)
        assert lines(here) == [POINT]
    assert capsys.readouterr().err == ""
