"""Kills a run again and again and shows that nothing is lost: the end is, to the bit, that of a run left alone.

    python -m tests.pipeline.torture [--kills 30] [--seed 0] [--json FILE]

SIGKILL hits the training, dvc, their whole process group or a worker of dvc's queue; at a time uniform over the run,
or in a training after its first saved state, or while a state is being written. Each time the same command is given
again. Where a run ends, its checkpoints, metrics and scores are compared with the undisturbed run's, and a fresh one
begins, until all have been killed who were to be.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from safetensors import SafetensorError, safe_open

from tests.pipeline.conftest import TINY, Clone, make_clone

INTERVAL = 0.5  # seconds between two savings
LONGER = (*TINY, "recipe.base.epochs=25", "recipe.increment.epochs=40", "memory.capacity=4")
KINDS = ("training", "dvc", "group", "worker")
MOMENTS = ("any", "trained", "writing")
_PATIENCE = 300.0


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        kind: who was killed.
        moment: when.
        stage: what ran, by its command; empty between two stages.
        saved: the iteration of the training's last state; None where it had none.
        lost: seconds of work that are done again, since that state or since the stage began.
    """

    kind: str
    moment: str
    stage: str
    saved: int | None
    lost: float


@dataclass
class Torture:
    """A clone whose runs are killed.

    Attributes:
        pristine: a clone in which nothing has run.
        whole: what an undisturbed run leaves, by file.
        seconds: that it took.
        pick: draws times.
    """

    pristine: Clone
    whole: dict[str, str]
    seconds: float
    pick: random.Random

    def run(self, wanted: list[tuple[str, str]], root: Path) -> tuple[list[Kill], int]:
        """Kills as wanted, (kind, moment) each; returns the kills, and how many runs ended as the undisturbed one."""
        kills: list[Kill] = []
        ended = 0
        while wanted:
            shutil.copytree(self.pristine.root, root, symlinks=True)
            clone, process = Clone(root), None
            in_queue = wanted[0][0] == "worker"
            while process is None or process.poll() is None:
                process = self._start(clone, in_queue=in_queue)
                if wanted and (wanted[0][0] == "worker") == in_queue:
                    kind, moment = wanted[0]
                    killed = self._kill(clone, process, kind, moment)
                    if killed is not None:
                        kills.append(killed)
                        wanted.pop(0)
                        print(f"{len(kills):3} {killed}", flush=True)
                        process = None
'''
