"""What a run leaves in MLflow, beside the reports and never in their way. The only module that knows mlflow.

mlflow is imported late: that takes seconds, and nothing else of ssul needs it.
"""

import hashlib
import json
import logging
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssul.addresses import without_password
from ssul.paths import project_root

EXPERIMENT = "ssul"
FINGERPRINT_TAG = "ssul.fingerprint"
SWITCH = "SSUL_TRACKING"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
OPEN_COMMAND = "mlflow ui --backend-store-uri sqlite:///mlflow.db"  # in the project's main folder
_METRICS = {
    "miou_old": "old",
    "miou_new": "new",
    "miou_all": "all",
    "miou_previous": "previous",
    "miou_current": "current",
    "miou_old_without_background": "old_without_background",
    "miou_all_without_background": "all_without_background",
    "miou_previous_without_background": "previous_without_background",
    "pixel_accuracy": "pixel_accuracy",
    "forgetting": "forgetting",
    "average": "average",
}
# Parameters that say where something lies or how it gets there, or whose whole effect (on_error) the index holds: the
# same experiment elsewhere is the same.
_WHERE_NOT_WHAT = ("data.root", "data.download", "data.mirror", "data.on_error", "recipe.base.checkpoint")
_METRICS_A_BATCH, _PARAMS_A_BATCH = 1000, 100  # MLflow's own limits
_LONGEST_VALUE, _LONGEST_NAME = 6000, 250
_LOCK_SECONDS = 120
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # its defaults keep a stage waiting for minutes where no server answers
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}

Scalar = str | int | float | bool | None


class TrackingError(Exception):
    """Why a run could not be logged, in one line. Nothing but the log is lost."""


def is_on() -> bool:
    """Whether runs are to be logged: yes, unless the environment says SSUL_TRACKING=off.

    Raises:
        TrackingError: if it says anything but on or off.
    """
    value = os.environ.get(SWITCH, "on").lower()
    if value not in ("on", "off", ""):
        raise TrackingError(f"{SWITCH} is '{value}': choose on or off")
    return value != "off"


def store_uri() -> str:
    """Where runs are kept: MLFLOW_TRACKING_URI, or mlflow.db in the project's main folder."""
    return os.environ.get(URI_VARIABLE) or f"sqlite:///{_default_database()}"


def how_to_open() -> str:
    """The command that shows the runs in a browser, or the address where a server shows them."""
    uri = store_uri()
    if _sqlite_file(uri) == _default_database():
        return OPEN_COMMAND
    return without_password(uri) if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Nested parameters by dotted names; lists become JSON text."""
    flat: dict[str, Scalar] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def fingerprint(params: Mapping[str, Scalar], code: Iterable[Path], index: Iterable[Path]) -> str:
    """What an experiment is: 64 hexadecimal digits that differ when parameters, code or data do.

    Where data or store lie and on which hardware it runs is not part of it, nor is any order. Which images were left
    out shows in the rows of the index, so that `ssul.data.about` need not be among its files.

    Args:
        params: all parameters by dotted names.
        code: the Python files, by paths relative to the working folder.
        index: the files of the data index, likewise.
    """
    what = {name: value for name, value in params.items() if name not in _WHERE_NOT_WHAT}
    digests = {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in (*code, *index)}
    return hashlib.sha256(json.dumps([what, digests], sort_keys=True).encode()).hexdigest()


def log_experiment(
    *,
    fingerprint: str,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, Scalar],
    rows: Sequence[Mapping[str, Any]],
    artifacts: Sequence[Path],
) -> str:
    """Logs a finished run; a run with the same fingerprint is completed instead of repeated.

    Args:
        fingerprint: of the experiment.
        name: shown by MLflow.
        tags: like scenario and method; DVC's experiment and the git commit are added where there are any.
        params: all parameters by dotted names.
        rows: `Scores` as dicts, one a step; each becomes one point of every metric at step = row["step"].
        artifacts: files and folders to keep with the run.

    Returns:
        the id of the run.

    Raises:
        TrackingError: if mlflow is not installed, or its store cannot be reached or written.
    """
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    uri = store_uri()
    try:
        with _alone(uri):
            client = _client(uri)
            run_id = _find_or_create_run(client, uri, fingerprint, name)
            _log(client, run_id, {**_origin(), **tags, "mlflow.runName": name}, params, rows)
            for path in artifacts:
                client.log_artifact(run_id, str(path))
            client.set_terminated(run_id, "FINISHED")
    except ImportError as error:
        raise TrackingError(f"{error}: install ssul[pipeline] to have MLflow, or set {SWITCH}=off") from None
    except Exception as error:  # mlflow passes on what its many backends raise; none of it may cost a finished run
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise TrackingError(without_password(f"the MLflow store {uri} cannot be used: {reason}")) from None
    return run_id


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Holds a lock: the first clients of a fresh sqlite store collide in its migrations, and a run is made once."""
    from filelock import FileLock

    database = _sqlite_file(uri)
    lock = _default_database() if database is None else database
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{lock}.lock", timeout=_LOCK_SECONDS):
        if database is not None:
            sqlite3.connect(database).close()  # fails at once where mlflow would try for minutes
        yield


def _client(uri: str) -> Any:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _find_or_create_run(client: Any, uri: str, fingerprint: str, name: str) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        # absolute, so that experiments in DVC's temporary folders put theirs in the same place; other stores choose
        database = _default_database()
        place = (database.parent / "mlruns").as_uri() if _sqlite_file(uri) == database else None
        experiment = client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=place))
    found = client.search_runs([experiment.experiment_id], f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    run = client.create_run(experiment.experiment_id, tags={FINGERPRINT_TAG: fingerprint}, run_name=name)
    return str(run.info.run_id)


def _log(
    client: Any,
    run_id: str,
    tags: Mapping[str, str],
    params: Mapping[str, Scalar],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Adds what the run does not hold yet: logging twice leaves what logging once does."""
    from mlflow.entities import Metric, Param, RunTag

    data = client.get_run(run_id).data
    points = metric_points(rows)
    keys = {key for key, _, _ in points} & set(data.metrics)
    there = {(key, point.step, point.value) for key in keys for point in client.get_metric_history(run_id, key)}
    now = int(time.time() * 1000)
    metrics = [Metric(key, value, now, step) for key, step, value in points if (key, step, value) not in there]
    fresh = [
        Param(key, without_password(str(value))[:_LONGEST_VALUE])
        for key, value in params.items()
        if key not in data.params
    ]  # MLflow's parameters are immutable
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    for start in range(0, len(fresh), _PARAMS_A_BATCH):
        client.log_batch(run_id, params=fresh[start : start + _PARAMS_A_BATCH])
    for start in range(0, len(metrics), _METRICS_A_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_A_BATCH])


def metric_points(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, float]]:
    """All defined numbers of the rows as (metric, step, value in 0..1); per class they are named `iou/CLASS`."""
    classes = metric_names(dict.fromkeys(name for row in rows for name in row["iou"]))
    points = []
    for row in rows:
        values = {key: row[score] for key, score in _METRICS.items()}
        if row["holdout"] is not None:
            values |= {f"holdout_miou_{key}": row["holdout"][key] for key in ("old", "new", "all")}
        values |= {classes[name]: value for name, value in row["iou"].items()}
        points += [(key, row["step"], float(value)) for key, value in values.items() if value is not None]
    return points


def metric_names(classes: Iterable[str]) -> dict[str, str]:
    """The name of each class's metric: characters that MLflow refuses become `_`, and no two names become one."""
    names: dict[str, str] = {}
    for name in classes:
        plain = re.sub(r"[^\w\- .]", "_", name)[: _LONGEST_NAME - 20]
        key = f"iou/{plain if plain.strip('. ') else plain.replace('.', '_')}"
        names[name] = key if key not in names.values() else f"{key}_{len(names)}"
    return names


def _origin() -> dict[str, str]:
    """The DVC experiment and the git commit, as far as there are any."""
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or _git_commit()
    origin = {"dvc.experiment": os.environ.get("DVC_EXP_NAME"), "mlflow.source.git.commit": commit}
    return {key: value for key, value in origin.items() if value}


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _default_database() -> Path:
    return project_root().resolve() / "mlflow.db"


def _sqlite_file(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix).partition("?")[0]) if uri.startswith(prefix) else None
