"""The process that shows a training in MLflow while it runs; `ssul.tracking.live` starts it."""

import json
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ssul.config.load import load_params
from ssul.config.paths import LAYOUT
from ssul.io.atomic import write_text
from ssul.scenario.splits import Split
from ssul.tracking.experiment import Experiment, experiment_of
from ssul.tracking.live import error_file
from ssul.tracking.metrics import curve_points
from ssul.tracking.runs import add_points, child_name, log_params_and_tags
from ssul.tracking.store import TrackingError, open_store

_SECONDS = 2.0  # between two looks at the journal


def follow(
    journal: Path, experiment: Experiment, step: int, learned: Sequence[str], trains: Callable[[float], bool]
) -> None:
    """Passes the points of a journal on to MLflow until the training ends.

    Points that the step's run holds already are left out: a training that is begun again draws the same ones.

    Args:
        journal: JSON lines; the last one of a training that ended well is `{"done": true}`.
        experiment: whose step it is.
        step, learned: its number and its classes.
        trains: waits for at most so many seconds, and tells whether the training process still lives.

    Raises:
        TrackingError: if mlflow is not installed, or its store cannot be reached or written.
    """
    with open_store() as store, journal.open(encoding="utf-8") as lines:
        with store.locked():
            parent = store.find_or_create(experiment.fingerprint, experiment.name)
            child = store.find_or_create_child(parent, step, child_name(step, learned))
        log_params_and_tags(store, parent, experiment)
        complete = store.status(parent) == "FINISHED"  # its results stand, whatever becomes of this training
        if trains(0) and not complete:  # else the report may have finished the run by now
            for run in (parent, child):
                store.client.update_run(run, status="RUNNING")
        done, alive, rest = False, True, ""
        while alive:
            alive = trains(_SECONDS)
            *whole, rest = (rest + lines.read()).split("\n")  # a line may be caught half written
            points = [json.loads(line) for line in whole]
            done = done or any("done" in point for point in points)
            if shown := [point for point in points if "iteration" in point]:
                with store.locked():  # the report may add the same points
                    add_points(store, child, curve_points(shown))
        if complete:
            return
        store.client.set_terminated(child, "FINISHED" if done else "FAILED")
        with store.locked():
            if store.status(parent) == "FINISHED":  # by the report, meanwhile
                return
            if done:
                store.client.update_run(parent, status="SCHEDULED")  # it waits for its next step, or died between two
            else:
                store.client.set_terminated(parent, "FAILED")


def main(step: str, journal: str) -> None:
    """Passes the journal of a step's training on to MLflow; why it could not is left beside the journal."""
    os.nice(10)  # the training goes first
    lines, split = Path(journal), Split.read(LAYOUT.split(int(step)))
    try:
        follow(lines, experiment_of(load_params(LAYOUT.params)), split.step, split.new_names, training_lives)
    except TrackingError as error:
        write_text(error_file(lines), str(error))
        if training_lives(0):
            return
    lines.unlink(missing_ok=True)
    error_file(lines).unlink(missing_ok=True)


def training_lives(seconds: float) -> bool:
    """Waits until the training process closes its end of the pipe, at most so long; tells whether it has not."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return not (readable and not os.read(sys.stdin.fileno(), 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
