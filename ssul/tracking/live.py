"""Shows a training in MLflow while it runs; the training never waits for MLflow.

The training appends its points to a journal, which begins with its parameters. After a while a separate process
(`ssul.tracking.follow`) reads the journal and logs it. If that fails, the training goes on, and the report logs all
curves at the end.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ssul import environment
from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.tracking.stage_times import command_start, process_start

_MAX_AGE = 24 * 60 * 60  # seconds; a running training writes more often


class LiveLogger:
    """The journal of a step's training, and the process that reads it."""

    def __init__(self, step: int, journal: Path) -> None:
        """Takes the step and the path of its journal; starts nothing."""
        self.step, self.journal = step, journal
        self._started, self._after = time.monotonic(), environment.live_after()
        self._reader: subprocess.Popen[bytes] | None = None
        self._warned = False

    def show(self, point: Mapping[str, float | bool]) -> None:
        """Adds a point; its keys are names of MLflow metrics."""
        try:
            with self.journal.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(point) + "\n")
            if self._reader is None and time.monotonic() - self._started >= self._after and _tracking_is_on():
                self._reader = subprocess.Popen(
                    [sys.executable, "-m", "ssul.tracking.follow", *self._arguments()],
                    stdin=subprocess.PIPE,  # closed when this process dies, however it dies
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C ends only the training; the reader then logs that it failed
                )
        except OSError as error:  # a full disk or a deleted folder must not end a training
            self._warn_once(str(error))
        self._check_reader()

    def _arguments(self) -> list[str]:
        """Step, journal, and when this process and its dvc command started."""
        return [str(self.step), str(self.journal), str(process_start()), str(command_start())]

    def close(self) -> None:
        """Closes the pipe to the reader, which then ends by itself."""
        self._check_reader()
        reader = self._reader
        lives = reader is not None and reader.poll() is None
        if reader is not None and reader.stdin is not None:
            with suppress(OSError):
                reader.stdin.close()
        if reader is not None and lives:
            reader.returncode = 0  # Popen must not wait for it; it removes the journal itself
        else:
            for path in (self.journal, error_file(self.journal)):
                with suppress(OSError):
                    path.unlink()

    def _check_reader(self) -> None:
        try:
            self._warn_once(error_file(self.journal).read_text(encoding="utf-8"))
        except OSError:  # there is no error file
            if self._reader is not None and self._reader.poll():
                self._warn_once(f"its process ended with code {self._reader.returncode}")

    def _warn_once(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            print(f"\nwarning: no live curve in MLflow: {reason}. Training goes on", file=sys.stderr, flush=True)


@contextmanager
def live_logger(step: int, settings: Params) -> Iterator[LiveLogger]:
    """The live logger of a step's training; the training is done if the block raises nothing.

    Args:
        step: its index.
        settings: the parameters that it trains with; params.yaml may be another one when the reader starts.
    """
    journal = Layout(project_root()).live / f"step_{step}.{socket.gethostname()}.{os.getpid()}.jsonl"
    logger = LiveLogger(step, journal)
    with suppress(OSError):  # `show` warns
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text(f"{settings.model_dump_json()}\n", encoding="utf-8")
        error_file(journal).unlink(missing_ok=True)
        for old in journal.parent.iterdir():  # left by killed trainings
            if time.time() - old.stat().st_mtime > _MAX_AGE:
                old.unlink(missing_ok=True)
    try:
        yield logger
        logger.show({"done": True})
    finally:
        logger.close()


def error_file(journal: Path) -> Path:
    """The file in which the reader of a journal writes why it gave up."""
    return journal.with_suffix(".trouble")


def _tracking_is_on() -> bool:
    """Whether runs are logged; a mistyped switch is reported by the stage `report`."""
    with suppress(UserError):
        return environment.tracking()
    return False
