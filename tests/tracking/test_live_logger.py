"""A training shows itself without ever waiting for whoever looks, and without ever being stopped by it."""

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

from ssul.errors import UserError
from ssul.tracking.live import live_logger

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
time.sleep(1)  # a training that is kept waiting between closing and looking still finds it at work
"""
GIVES_UP = """
whole = journal.with_suffix(".whole")  # as the real one does: whoever looks must not see it half written
whole.write_text("the store is gone")
whole.replace(journal.with_suffix(".trouble"))
sys.exit(0)
"""
Reader = Callable[[str], list["subprocess.Popen[bytes]"]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, which is the project's."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DVC_ROOT", "SSUL_LIVE_AFTER", "SSUL_TRACKING"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def reader(here: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Puts a real process in the place of the one that knows mlflow; it is started at once. Returns those started."""
    monkeypatch.setenv("SSUL_LIVE_AFTER", "0")
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)

    def act(text: str) -> list["subprocess.Popen[bytes]"]:
        (here / "ssul" / "tracking").mkdir(parents=True)
        (here / "ssul" / "tracking" / "follow.py").write_text(READER.format(act=text))
        return started

    return act


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a process fails the test."""

    def refuse(*arguments: Any, **_: Any) -> None:
        raise AssertionError(f"started: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def left(here: Path) -> list[str]:
    """What is in the folder of journals."""
    return sorted(path.name for path in (here / "data" / "cache" / "live").iterdir())


def lines(here: Path) -> list[dict[str, Any]]:
    """What the only journal holds."""
    (journal,) = (here / "data" / "cache" / "live").glob("*.jsonl")
    return [json.loads(line) for line in journal.read_text().splitlines()]


# ---- nobody looks ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize("variables", [{}, {"SSUL_LIVE_AFTER": "1000"}], ids=["as usual", "later"])
def test_nothing_is_started_before_its_time_and_nothing_is_left(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with live_logger(1) as live:
        live.show(POINT)
        assert lines(here) == [POINT]
    assert left(here) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize("switch", ["off", "OFF", "of"])
def test_switched_off_nothing_is_started(here: Path, monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    monkeypatch.setenv("SSUL_LIVE_AFTER", "0")
    monkeypatch.setenv("SSUL_TRACKING", switch)
    with live_logger(1) as live:
        live.show(POINT)
    assert left(here) == []


def test_it_is_started_when_its_time_has_come(here: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader("")
    monkeypatch.setenv("SSUL_LIVE_AFTER", "0.3")
    with live_logger(1) as live:
        live.show(POINT)
        time.sleep(0.4)
        assert not (here / "started").exists()
        live.show(POINT)
        wait_for((here / "started").exists)


@pytest.mark.parametrize("given", ["soon", "1,5", "3s"])
def test_a_time_that_is_none_is_refused_by_name_before_anything_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("SSUL_LIVE_AFTER", given)
    with (
        pytest.raises(UserError, match=f"SSUL_LIVE_AFTER={given} is not a number of seconds: choose 0 or more"),
        live_logger(1),
    ):
        pass
    assert not (here / "data").exists() or left(here) == []


# ---- somebody looks -------------------------------------------------------------------------------------------------


def test_one_reader_is_started_for_the_step_and_ends_when_the_training_does(
    here: Path, reader: Reader, capsys: Captured
) -> None:
    reader("")
    with live_logger(3) as live:
        live.show(POINT)
        wait_for((here / "started").exists)
        live.show(POINT)
        assert not (here / "ended").exists()
    wait_for((here / "ended").exists)
    (started,) = (here / "started").read_text().splitlines()
    assert started.startswith("3 data/cache/live/step_3.")
    assert lines(here) == [POINT, POINT, {"done": True}]  # the reader's to remove
    assert capsys.readouterr() == ("", "")


def test_a_training_that_fails_is_not_done_and_its_reader_ends_too(here: Path, reader: Reader) -> None:
    reader("")

    def fail() -> None:
        with live_logger(3) as live:
            live.show(POINT)
            wait_for((here / "started").exists)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()
    wait_for((here / "ended").exists)
    assert lines(here) == [POINT]


def test_the_end_of_a_training_does_not_wait_for_a_reader_that_hangs(here: Path, reader: Reader) -> None:
    reader("import time; time.sleep(20); sys.exit()")
    with live_logger(1) as live:
        live.show(POINT)
        wait_for((here / "started").exists)
        began = time.monotonic()
    assert time.monotonic() - began < 10


def test_two_steps_have_a_journal_and_a_reader_each(here: Path, reader: Reader) -> None:
    reader("")
    for step in (1, 2):
        with live_logger(step) as live:
            live.show(POINT | {"loss": float(step)})
    wait_for(lambda: (here / "started").exists() and (here / "started").read_text().count("\n") == 2)
    journals = sorted((here / "data" / "cache" / "live").glob("*.jsonl"))
    assert [json.loads(journal.read_text().splitlines()[0])["loss"] for journal in journals] == [1.0, 2.0]


# ---- trouble --------------------------------------------------------------------------------------------------------


def one_warning(capsys: Captured, *words: str) -> None:
    """One line on stderr, which holds the words."""
    told = capsys.readouterr().err
    assert told.count("warning: no live curve in MLflow") == 1
    assert told.strip().count("\n") == 0
    assert told.endswith(". Training goes on\n")
    for word in words:
        assert word in told


def test_a_reader_that_gives_up_costs_one_warning_and_leaves_nothing(
    here: Path, reader: Reader, capsys: Captured
) -> None:
    started = reader(GIVES_UP)
    with live_logger(1) as live:
        live.show(POINT)
        wait_for(lambda: any((here / "data" / "cache" / "live").glob("*.trouble")))
        for _ in range(3):
            live.show(POINT)
        wait_for(lambda: ended(started[0]))
    one_warning(capsys, "the store is gone")
    assert left(here) == []
    assert (here / "started").read_text().count("\n") == 1


def ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a child has ended, without taking its exit code from whoever is going to ask for it."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def test_trouble_that_comes_at_the_very_end_is_told_too(here: Path, reader: Reader, capsys: Captured) -> None:
    reader(GIVES_UP)
    with live_logger(1) as live:
        live.show(POINT)
        wait_for(lambda: any((here / "data" / "cache" / "live").glob("*.trouble")))
    one_warning(capsys, "the store is gone")


def test_a_reader_that_crashes_costs_one_warning_and_leaves_nothing(
    here: Path, reader: Reader, capsys: Captured
) -> None:
    started = reader("sys.exit(3)")
    with live_logger(1) as live:
        live.show(POINT)
        wait_for(lambda: ended(started[0]))
        for _ in range(3):
            live.show(POINT)
    one_warning(capsys, "3")
    assert left(here) == []


def test_a_reader_that_cannot_be_started_costs_one_warning(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("SSUL_LIVE_AFTER", "0")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with live_logger(1) as live:
        for _ in range(3):
            live.show(POINT)
    one_warning(capsys, "/nowhere/python")
    assert left(here) == []


def test_a_cache_that_is_deleted_meanwhile_costs_one_warning(here: Path, capsys: Captured) -> None:
    with live_logger(1) as live:
        live.show(POINT)
        shutil.rmtree(here / "data" / "cache")
        for _ in range(3):
            live.show(POINT)
    one_warning(capsys, "data/cache/live")


def test_a_cache_that_cannot_be_written_costs_one_warning(here: Path, capsys: Captured) -> None:
    (here / "data").mkdir()
    (here / "data" / "cache").write_text("no folder")
    with live_logger(1) as live:
        for _ in range(3):
            live.show(POINT)
    one_warning(capsys, "data/cache/live")


def test_what_an_earlier_training_left_is_not_read_again(here: Path, reader: Reader, capsys: Captured) -> None:
    reader("")
    with live_logger(1) as live:
        live.show(POINT)
        journal = live.journal
    journal.with_suffix(".trouble").write_text("of an earlier training with this number of a process")
    with live_logger(1) as live:
        live.show(POINT)
        assert lines(here) == [POINT]
    assert capsys.readouterr().err == ""
