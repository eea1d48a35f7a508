"""A finished experiment as one MLflow run, with a run below it for the training curve of each step.

Logging is idempotent. If a run of the same fingerprint holds other numbers (another processor rounds differently), it
is deleted and a new one is made, because MLflow cannot change a point.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssul.io.urls import redact_password
from ssul.tracking.experiment import Experiment
from ssul.tracking.finished import DatasetRecord, FinishedRun
from ssul.tracking.metrics import MetricPoint, curve_points, metric_points
from ssul.tracking.store import Store, open_store

_METRICS_A_BATCH, _PARAMS_A_BATCH = 1000, 100  # MLflow's own limits
_LONGEST_VALUE = 6000


def log_finished(finished: FinishedRun) -> str:
    """Logs a finished experiment, or completes its run, and returns the id of the run.

    Raises:
        TrackingError: if mlflow is not installed, or its store cannot be reached or written.
    """
    with open_store() as store:
        with store.locked():
            run_id = _run_for(store, finished)
            log_params_and_tags(store, run_id, finished.experiment)
            add_points(store, run_id, [*metric_points(finished.rows), *_time_points(finished)])
            log_dataset(store, run_id, finished.data, "training")
            if finished.validation is not None:
                log_dataset(store, run_id, finished.validation, "validation")
            for curve in finished.curves:
                _log_curve(store, run_id, finished, curve)
        for place, path in finished.artifacts.items():
            if path.is_dir():
                store.client.log_artifacts(run_id, str(path), artifact_path=place)
            else:
                store.client.log_artifact(run_id, str(path), artifact_path=str(Path(place).parent).strip("."))
        if "images" in finished.artifacts:
            store.client.set_tag(run_id, "mlflow.loggedImages", "true")
        for place, table in finished.tables.items():
            _log_table(store, run_id, place, table)
        with store.locked():  # the last training's follower may be about to write that the run waits for its next step
            store.finish(run_id, None if finished.unmeasured else finished.seconds)
    return run_id


def child_name(step: int, learned: Sequence[str]) -> str:
    """The name of a step's run, like `step 2: sheep`."""
    names = ", ".join(learned)
    return f"step {step}: {names if len(names) <= 60 else f'{learned[0]}, … ({len(learned)} classes)'}"


def log_params_and_tags(store: Store, run_id: str, experiment: Experiment) -> None:
    """Gives a run its name, its tags and its missing parameters (MLflow's parameters are immutable)."""
    from mlflow.entities import RunTag

    tags = experiment.tags | {"mlflow.runName": experiment.name}
    store.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    log_params(store, run_id, experiment)


def log_params(store: Store, run_id: str, experiment: Experiment) -> None:
    """Gives a run its missing parameters."""
    from mlflow.entities import Param

    logged = store.client.get_run(run_id).data.params
    missing = [
        Param(key, redact_password(str(value))[:_LONGEST_VALUE])
        for key, value in experiment.params.items()
        if key not in logged
    ]
    for start in range(0, len(missing), _PARAMS_A_BATCH):
        store.client.log_batch(run_id, params=missing[start : start + _PARAMS_A_BATCH])


def log_dataset(store: Store, run_id: str, data: DatasetRecord, context: str) -> None:
    """Gives a run a dataset, unless it has one in this context, `training` or `validation`."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    given = store.client.get_run(run_id).inputs.dataset_inputs
    if any(tag.value == context for one in given for tag in one.tags):
        return
    dataset = Dataset(
        data.name,
        data.digest,
        "local",
        json.dumps({"uri": redact_password(data.source)}),
        profile=json.dumps(data.profile),
    )
    store.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])


def add_points(store: Store, run_id: str, points: Sequence[MetricPoint]) -> None:
    """Adds the missing points to a run; of each metric and step the first one stays."""
    from mlflow.entities import Metric

    logged = {(key, step) for key, step, _ in logged_metrics(store, run_id, {key for key, _, _ in points})}
    now = int(time.time() * 1000)
    missing = [Metric(key, value, now, step) for key, step, value in points if (key, step) not in logged]
    for start in range(0, len(missing), _METRICS_A_BATCH):
        store.client.log_batch(run_id, metrics=missing[start : start + _METRICS_A_BATCH])


def logged_metrics(store: Store, run_id: str, keys: Iterable[str]) -> list[MetricPoint]:
    """All points of some metrics in a run."""
    known = set(store.client.get_run(run_id).data.metrics)
    histories = (store.client.get_metric_history(run_id, key) for key in sorted(known & set(keys)))
    return [(point.key, point.step, point.value) for history in histories for point in history]


def _run_for(store: Store, finished: FinishedRun) -> str:
    """The run of an experiment; if it holds other numbers, a new one that replaces it."""
    experiment = finished.experiment
    run_id = store.find_or_create(experiment.fingerprint, experiment.name, time.time() - finished.seconds)
    if _agrees(store, run_id, metric_points(finished.rows)):
        return run_id
    while (child := store.search(f"tags.`mlflow.parentRunId` = '{run_id}'")) is not None:
        store.client.delete_run(child)
    store.client.delete_run(run_id)
    return store.find_or_create(experiment.fingerprint, experiment.name, time.time() - finished.seconds)


def _log_curve(store: Store, parent: str, finished: FinishedRun, curve: dict[str, Any]) -> None:
    """Completes the run of a step; if it holds other numbers, a new one replaces it."""
    taken = finished.step_time(curve["step"])
    seconds = None if taken is None else taken.seconds
    place = parent, curve["step"], child_name(curve["step"], curve["learned"]), time.time() - (seconds or 0.0)
    points, child = curve_points(curve["points"]), store.find_or_create_child(*place)
    if not _agrees(store, child, points):
        store.client.delete_run(child)
        child = store.find_or_create_child(*place)
    add_points(store, child, points)
    log_params(store, child, finished.experiment)
    log_dataset(store, child, finished.data, "training")
    store.client.set_tag(child, "hardware", curve["hardware"])
    store.finish(child, seconds)


def _time_points(finished: FinishedRun) -> list[MetricPoint]:
    """Wall time and speed of each step's training, at step = k."""
    times = [(curve["step"], taken) for curve in finished.curves if (taken := finished.step_time(curve["step"]))]
    return [
        (name, step, round(value, 3))
        for step, taken in times
        for name, value in (("train_seconds", taken.training), ("train_images_per_second", taken.images_per_second))
    ]


def _log_table(store: Store, run_id: str, place: str, table: Mapping[str, Sequence[Any]]) -> None:
    """Logs a table as MLflow keeps one; its own call would add the rows again to those of an earlier report."""
    rows = [list(row) for row in zip(*table.values(), strict=True)]
    store.client.log_text(run_id, json.dumps({"columns": list(table), "data": rows}), place)
    tables = json.dumps([{"path": place, "type": "table"}])
    store.client.set_tag(run_id, "mlflow.loggedArtifacts", tables)


def _agrees(store: Store, run_id: str, points: Sequence[MetricPoint]) -> bool:
    expected = {(key, step): value for key, step, value in points}
    logged = logged_metrics(store, run_id, {key for key, _ in expected})
    return all(expected.get((key, step)) == value for key, step, value in logged)
