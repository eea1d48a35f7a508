"""Measures how long stages take, for MLflow; no result depends on it."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from ssul.config.load import read_params
from ssul.config.paths import LAYOUT
from ssul.config.stages import Stage, read_stages
from ssul.errors import UserError
from ssul.io.atomic import write_json
from ssul.tracking.stage_times import StageTime, command_start, note_time, process_seconds

if TYPE_CHECKING:  # else every stage would import torch
    from ssul.training.session import TrainingSession


def note_stage(script: str, *arguments: str) -> None:
    """Notes the time of this process as that of the stage whose outputs it has just put in place."""
    with suppress(UserError):
        command = " ".join(["python", "-m", f"stages.{script}", *arguments])
        for stage in read_stages(LAYOUT.pipeline, read_params(LAYOUT.params)):
            if stage.command == command:
                note_time(stage, StageTime(process_seconds(), command_start()))


class TrainingClock:
    """The time of a training over all its processes, each of which went on where the one before was interrupted."""

    def __init__(self, stage: Stage, session: "TrainingSession") -> None:
        """Starts nothing yet; stage and session are of the same training."""
        self._stage, self._session = stage, session
        self._unfinished = session.state_file.path("time")
        self._training = 0.0

    @contextmanager
    def runs(self) -> Iterator[None]:
        """The iterations. Where they are interrupted, the time so far is kept for the process that goes on."""
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self._training = time.monotonic() - start
            with suppress(OSError):
                write_json(self._unfinished, self._sums())
            raise
        self._training = time.monotonic() - start

    def note(self) -> None:
        """Notes the time; the checkpoint is in place."""
        seconds, training = self._sums()
        job = self._session.job
        speed = job.iterations * job.order.batch / max(training, 1e-9)
        taken = StageTime(seconds, command_start(), training, speed, versions())
        note_time(self._stage, taken)
        self._unfinished.unlink(missing_ok=True)

    def _sums(self) -> tuple[float, float]:
        """Seconds of all processes, and of the iterations alone."""
        earlier = [0.0, 0.0]
        if self._session.first:  # else nothing of an earlier process is in the weights
            with suppress(OSError, ValueError):
                earlier = json.loads(self._unfinished.read_text(encoding="utf-8"))
        return earlier[0] + process_seconds(), earlier[1] + self._training


def versions() -> dict[str, str]:
    """The versions of torch and CUDA with which this process trains."""
    torch = sys.modules.get("torch")  # imported by the training; this package computes nothing
    cuda = getattr(getattr(torch, "version", None), "cuda", None)
    return {"torch": version("torch")} | ({"cuda": cuda} if cuda else {})
