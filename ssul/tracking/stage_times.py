"""How long the stages took that made the outputs of a working folder.

The outputs of a stage hold no time, because they are the same bytes whenever they are made. So its time is noted in
data/cache/times under a digest of them, and is found again when DVC restores the outputs.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from ssul import environment
from ssul.config.paths import Layout
from ssul.config.stages import Stage
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.io.atomic import write_json
from ssul.io.strict_json import read_json

DESCRIPTIONS = {"checkpoints": "model.json", "evaluation": "results.json"}
"""The file that stands for a folder of these folders, because it holds a digest or the sum of the others."""


@dataclass(frozen=True)
class StageTime:
    """The time of a stage.

    Attributes:
        seconds: from the start of its process to its outputs; of an interrupted training the sum over its processes.
        command: when the dvc command started that ran it, in seconds since 1970.
        training: of these, in the iterations alone; 0 where the stage trains nothing.
        images_per_second: mean over the iterations, likewise.
        versions: of the libraries that computed, such as torch and CUDA.
    """

    seconds: float
    command: float = 0.0
    training: float = 0.0
    images_per_second: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)


def note_time(stage: Stage, taken: StageTime) -> None:
    """Notes the time of a stage whose outputs are in place; a failure costs the note alone."""
    with suppress(OSError):
        if (path := _place(stage)) is not None:
            write_json(path, asdict(taken))


def known_times(stages: Iterable[Stage]) -> dict[str, StageTime]:
    """The times by the names of the stages; a stage is missing if another machine or an earlier version ran it."""
    found = {}
    for stage in stages:
        with suppress(UserError, OSError):
            if (path := _place(stage)) is not None:
                found[stage.name] = read_json(path, StageTime, what="the time of a stage", way_out="delete it")
    return found


def _place(stage: Stage) -> Path | None:
    """The note on the present outputs of a stage; None if there are none.

    The outputs alone name it, because DVC does not run a stage either whose outputs another one has made: without a
    memory, those of `select_memory@1` are `select_memory@2`'s.
    """
    outs = [Path(out) / DESCRIPTIONS.get(Path(out).parent.name, "") for out in stage.outs]
    described = [path for path in outs if path.is_file()]
    if not described:
        return None
    digest = hashlib.sha256()
    for path in described:
        digest.update(path.read_bytes())
    return Layout(project_root()).times / f"{digest.hexdigest()[:32]}.json"


def training_stage(step: int) -> str:
    """The stage that trains a step."""
    return f"train_step@{step}" if step else "train_base"


def process_start() -> float:
    """When this process started, in seconds since 1970."""
    return float(psutil.Process().create_time())


def command_start() -> float:
    """When the dvc command started that runs this process, in seconds since 1970; the process, where none does."""
    if (given := environment.srun_since()) is not None:  # dvc may run on another node
        return given
    with suppress(psutil.Error):
        for one in psutil.Process().parents():
            if any(Path(word).name == "dvc" for word in one.cmdline()[:3]):  # python, -m, dvc
                return float(one.create_time())
    return process_start()


def total_seconds(times: Iterable[StageTime], command: float) -> float:
    """The time of stages and of a running dvc command: all of its time, and what other commands spent on the rest."""
    earlier = sum(one.seconds for one in times if abs(one.command - command) > 1)
    return earlier + time.time() - command


def process_seconds() -> float:
    """How long this process has run."""
    return time.time() - process_start()
