"""How a stage begins and ends, whatever happens in it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from ssul.errors import UserError
from ssul.pipeline.run import run

Captured = pytest.CaptureFixture[str]
PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failing(error: BaseException) -> Callable[..., None]:
    def main(*arguments: str) -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("the data are gone: bring them back"), 1, "error: the data are gone: bring them back\n"),
        (UserError(""), 1, ""),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (OSError(28, "No space left on device", "a.json"), 1, "error: the disk is full (a.json): make room"),
        (
            MemoryError(),
            1,
            "error: the machine's memory does not suffice: compute each batch in parts with recipe.base.accumulate",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), 1, "error: a process that loads ima"),
    ],
)
def test_what_people_and_machines_do_is_reported_in_one_line(
    error: BaseException, code: int, message: str, capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as end:
        run(failing(error))
    assert end.value.code == code
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == (1 if message else 0)


def test_our_own_faults_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="a fault"):
        run(failing(RuntimeError("a fault")))


def test_arguments_are_passed_on() -> None:
    given: list[str] = []
    run(lambda *arguments: given.extend(arguments), "3", "x")
    assert given == ["3", "x"]


STAGE = """
import sys
from ssul.pipeline.run import run
def main(*arguments):
    print("began", flush=True)
    sys.stdin.read()
run(main, *sys.argv[1:])
"""


def stage(*arguments: str) -> "subprocess.Popen[str]":
    """A stage that lasts until its input is closed."""
    script = Path("some_stage.py")
    script.write_text(STAGE)
    pipe = subprocess.PIPE
    words = [sys.executable, str(script), *arguments]
    return subprocess.Popen(words, env={"PYTHONPATH": str(PROJECT)}, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def line_of(pipe: "IO[str] | None") -> str:
    assert pipe is not None
    return pipe.readline()


def test_an_orphan_at_the_same_stage_is_waited_for_and_named() -> None:
    orphan = stage("3")
    assert line_of(orphan.stdout) == "began\n"
    again = stage("3")
    message = line_of(again.stderr)
    assert message.startswith(f"some_stage_3 runs already in this folder (process {orphan.pid} on ")
    assert again.poll() is None
    orphan.communicate("", timeout=60)
    assert again.communicate("", timeout=60) == ("began\n", "")
    assert (orphan.returncode, again.returncode) == (0, 0)


def test_other_stages_are_not_waited_for() -> None:
    first = stage("3")
    assert line_of(first.stdout) == "began\n"
    assert stage("4").communicate("", timeout=60) == ("began\n", "")
    first.communicate("", timeout=60)


def test_the_collector_of_garbage_rests_only_while_a_stage_is_imported() -> None:
    code = (
        "import gc, sys\n"
        "sys.argv[0] = '-m'  # as python -m sets it\n"
        "import stages\n"
        "from ssul.pipeline.run import run\n"
        "print(gc.isenabled())\n"
        "run(lambda: print(gc.isenabled(), gc.get_freeze_count() > 0), alone=False)\n"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True", "True"]
