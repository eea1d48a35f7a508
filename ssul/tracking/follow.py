"""The process that logs a running training to MLflow; `ssul.tracking.live` starts it."""

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ssul.config.load import parse_params
from ssul.config.paths import LAYOUT
from ssul.config.stages import read_stages, upstream
from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.io.strict_json import read_json
from ssul.scenario.splits import Split
from ssul.tracking.experiment import Experiment, experiment_of
from ssul.tracking.finished import DatasetRecord, training_data
from ssul.tracking.live import error_file
from ssul.tracking.metrics import curve_points
from ssul.tracking.runs import add_points, child_name, log_dataset, log_params, log_params_and_tags
from ssul.tracking.stage_times import known_times, total_seconds, training_stage
from ssul.tracking.store import Store, TrackingError, open_store

_SECONDS = 2.0  # between two reads of the journal


def follow(
    journal: Path,
    experiment: Experiment,
    step: int,
    learned: Sequence[str],
    trains: Callable[[float], bool],
    *,
    data: DatasetRecord | None = None,
    began: float | None = None,
    experiment_began: float | None = None,
) -> None:
    """Logs the points of a journal to MLflow until the training ends.

    Points that the step's run already holds are left out, because a resumed training repeats them.

    Args:
        journal: JSON lines: the training's parameters, its points, and `{"done": true}` if it ended well.
        experiment: of the step.
        step, learned: index and classes of the step.
        trains: waits for at most so many seconds and returns whether the training process still runs.
        data: what the step is trained on; None if it is not known.
        began: when that process started, in seconds since 1970; a new run of the step begins then.
        experiment_began: the same of the whole experiment.

    Raises:
        TrackingError: if mlflow is not installed, or its store cannot be reached or written.
    """
    with open_store() as store, journal.open(encoding="utf-8") as lines:
        with store.locked():
            parent = store.find_or_create(experiment.fingerprint, experiment.name, experiment_began)
            child = store.find_or_create_child(parent, step, child_name(step, learned), began)
        log_params_and_tags(store, parent, experiment)
        log_params(store, child, experiment)
        if data is not None:
            for run in (parent, child):
                log_dataset(store, run, data, "training")
        complete = store.status(parent) == "FINISHED"  # already finished: do not change its status
        if trains(0) and not complete:  # without a training the report may have finished the run
            for run in (parent, child):
                store.client.update_run(run, status="RUNNING")
        done, alive, rest = False, True, ""
        with _system_metrics(store, child):
            while alive:
                alive = trains(_SECONDS)
                *whole, rest = (rest + lines.read()).split("\n")  # the last line may be half written
                points = [json.loads(line) for line in whole]
                done = done or any("done" in point for point in points)
                if shown := [point for point in points if "iteration" in point]:
                    with store.locked():  # the report may add the same points
                        add_points(store, child, curve_points(shown))
        if complete:
            return
        store.client.set_terminated(child, "FINISHED" if done else "FAILED")
        with store.locked():
            if store.status(parent) == "FINISHED":  # by the report in the meantime
                return
            if done:
                store.client.update_run(parent, status="SCHEDULED")  # until its next step
            else:
                store.client.set_terminated(parent, "FAILED")


@contextmanager
def _system_metrics(store: Store, run_id: str) -> Iterator[None]:
    """Logs the load of this machine every ten seconds: processor, memory, disk, network; GPUs with nvidia-ml-py."""
    from mlflow.system_metrics import system_metrics_monitor

    make: Any = system_metrics_monitor.SystemMetricsMonitor  # which has no types
    monitor = make(run_id, resume_logging=True, tracking_uri=store.uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def main(step: str, journal: str, process: str, command: str) -> None:
    """Logs the journal of a step's training to MLflow; the reason of a failure is written beside the journal.

    Args:
        step: its index.
        journal: its path.
        process, command: when the training and its dvc command started, in seconds since 1970.
    """
    os.nice(10)  # the training has priority
    lines, split = Path(journal), Split.read(LAYOUT.split(int(step)))
    with lines.open(encoding="utf-8") as begin:
        settings = parse_params(json.loads(begin.readline()))
    stages = read_stages(LAYOUT.pipeline, settings.model_dump(mode="json"))
    before = upstream(next(one for one in stages if one.name == training_stage(split.step)), stages)
    taken = total_seconds(known_times(before).values(), float(command))
    starts = {"began": float(process), "experiment_began": time.time() - taken}
    data = None
    with suppress(UserError, OSError):  # no training waits for a summary
        summary = read_json(LAYOUT.split_summary, dict[str, Any], what="the summary", way_out="run `dvc repro splits`")
        data = training_data(settings, summary)
    try:
        follow(lines, experiment_of(settings), split.step, split.new_names, training_lives, data=data, **starts)
    except TrackingError as error:
        write_text(error_file(lines), str(error))
        if training_lives(0):
            return
    lines.unlink(missing_ok=True)
    error_file(lines).unlink(missing_ok=True)


def training_lives(seconds: float) -> bool:
    """Waits until the training process closes the pipe, at most so many seconds; returns whether it is still open."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return not (readable and not os.read(sys.stdin.fileno(), 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
