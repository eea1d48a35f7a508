"""Holds a stage of a real `dvc exp run` in the moment before it looks at its inputs for the second time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline.clone import Clone, Outcome

# python imports it when it starts; each look at the inputs begins with dvc's lock
HOOK = """
import sys
from pathlib import Path

place, looks = Path(__file__).parent, []

def hook(event, arguments):
    if event == "open" and str(arguments[0]) == ".dvc/tmp/lock":
        looks.append(event)
        if len(looks) == 2:
            (place / "arrived").touch()
            (place / "go").read_bytes()  # a pipe

if sys.orig_argv[1:] == ["-m", *(place / "stage").read_text().split()]:
    sys.addaudithook(hook)
"""


@dataclass(frozen=True)
class Held:
    """A dvc command one of whose stages is held."""

    process: "subprocess.Popen[bytes]"
    place: Path

    def wait(self) -> None:
        """Waits until the stage is there."""
        while not (self.place / "arrived").exists():
            assert self.process.poll() is None, self.text
            time.sleep(0.02)

    def go_on(self) -> Outcome:
        """Lets the stage go on, and waits for the end of the command."""
        (self.place / "go").write_bytes(b"")
        return Outcome(self.process.wait(timeout=300), self.text)

    @property
    def text(self) -> str:
        """What the command has printed so far."""
        return (self.place / "output").read_text(encoding="utf-8")


@contextmanager
def held(clone: Clone, place: Path, stage: str, *words: str) -> Iterator[Held]:
    """Starts a dvc command and waits until its stage has done its work and is about to compare its inputs.

    Args:
        clone: where it runs.
        place: an empty folder.
        stage: module and arguments, like `stages.evaluate 0`.
        words: of the dvc command.
    """
    (place / "sitecustomize.py").write_text(HOOK)
    (place / "stage").write_text(stage)
    os.mkfifo(place / "go")
    with (place / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *words],
            cwd=clone.root,
            env=clone.environment | {"PYTHONPATH": str(place)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        command = Held(process, place)
        command.wait()
        yield command
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
