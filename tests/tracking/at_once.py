"""Processes that log the small finished experiment at the same moment."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.tracking.examples import CURVES, PROJECT, child_losses, files, losses, points

LOG = """
import sys, time
from pathlib import Path
from ssul.tracking.runs import log_finished
from tests.tracking.examples import finished
one = finished(Path(sys.argv[2]), sys.argv[1])
Path(sys.argv[2], "ready").touch()
while not Path(sys.argv[3]).exists():
    time.sleep(0.01)
print(log_finished(one))
"""


def start_at_once(root: Path, fingerprints: list[str]) -> "list[subprocess.Popen[str]]":
    """Starts one process for each experiment; they begin to log together."""
    places = [root / f"process {number}" for number in range(len(fingerprints))]
    for place in places:
        place.mkdir(parents=True)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOG, fingerprint, str(place), str(root / "go")],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fingerprint, place in zip(fingerprints, places, strict=True)
    ]
    while not all((place / "ready").exists() for place in places):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    (root / "go").touch()
    return processes


def log_at_once(root: Path, fingerprints: list[str]) -> list[str]:
    """Logs experiments from one process each; returns the ids of the runs."""
    processes = start_at_once(root, fingerprints)
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return [out.strip() for out, _ in outputs]


def assert_whole(run: Any) -> None:
    """The run holds everything of the example, once."""
    run_id = run.info.run_id
    assert run.info.status == "FINISHED"
    assert points(run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert child_losses(run_id) == [losses(one) for one in CURVES]
    assert len(run.inputs.dataset_inputs) == 1
    assert len(files(run_id)) == 4
