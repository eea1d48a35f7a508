"""Shows a training in MLflow while it runs; the training never waits for it.

The training appends its points to a journal. After a while a process of its own (`ssul.tracking.follow`) reads the
journal and logs it. If that fails, the training goes on, and the report logs all curves at the end.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ssul import environment
from ssul.config.paths import Layout
from ssul.environment import project_root
from ssul.errors import UserError

_A_DAY = 24 * 60 * 60  # seconds; a training that goes on writes more often


class LiveLogger:
    """The journal of a step's training, and who reads it."""

    def __init__(self, step: int, journal: Path) -> None:
        """Takes the step and the place of its journal; nothing runs yet."""
        self.step, self.journal = step, journal
        self._started, self._after = time.monotonic(), environment.live_after()
        self._reader: subprocess.Popen[bytes] | None = None
        self._warned = False

    def show(self, point: Mapping[str, float | bool]) -> None:
        """Adds a point; its keys are names of MLflow's metrics."""
        try:
            with self.journal.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(point) + "\n")
            if self._reader is None and time.monotonic() - self._started >= self._after and _tracks():
                self._reader = subprocess.Popen(
                    [sys.executable, "-m", "ssul.tracking.follow", str(self.step), str(self.journal)],
                    stdin=subprocess.PIPE,  # closed when this process dies, however it dies
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the training; the reader then says that it was ended
                )
        except OSError as error:  # a full disk, a deleted folder: no reason to end a training
            self._warn_once(str(error))
        self._look_for_trouble()

    def close(self) -> None:
        """Lets the reader end by itself."""
        self._look_for_trouble()
        reader = self._reader
        lives = reader is not None and reader.poll() is None
        if reader is not None and reader.stdin is not None:
            with suppress(OSError):
                reader.stdin.close()
        if reader is not None and lives:
            reader.returncode = 0  # nobody waits for it; it removes the journal
        else:
            for path in (self.journal, error_file(self.journal)):
                with suppress(OSError):
                    path.unlink()

    def _look_for_trouble(self) -> None:
        try:
            self._warn_once(error_file(self.journal).read_text(encoding="utf-8"))
        except OSError:  # it told none
            if self._reader is not None and self._reader.poll():
                self._warn_once(f"its process ended with code {self._reader.returncode}")

    def _warn_once(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            print(f"\nwarning: no live curve in MLflow: {reason}. Training goes on", file=sys.stderr, flush=True)


@contextmanager
def live_logger(step: int) -> Iterator[LiveLogger]:
    """The live curve of a step's training; a block that ends well ends it well."""
    journal = Layout(project_root()).live / f"step_{step}.{os.getpid()}.jsonl"
    curve = LiveLogger(step, journal)
    with suppress(OSError):  # `show` will tell
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text("", encoding="utf-8")
        error_file(journal).unlink(missing_ok=True)
        for old in journal.parent.iterdir():  # of trainings that were killed
            if time.time() - old.stat().st_mtime > _A_DAY:
                old.unlink(missing_ok=True)
    try:
        yield curve
        curve.show({"done": True})
    finally:
        curve.close()


def error_file(journal: Path) -> Path:
    """Where the reader of a journal says why it gave up."""
    return journal.with_suffix(".trouble")


def _tracks() -> bool:
    """Whether runs are logged; a mistyped switch is reported by the stage `report`."""
    with suppress(UserError):
        return environment.tracking()
    return False
