"""The MLflow store: its address, how it is opened, and how the run of an experiment is found.

mlflow is imported late, because the import takes seconds and no other module needs it.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssul import environment
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.io.urls import redact_password
from ssul.tracking.database import ARTIFACTS, experiment_id, follow_moved_artifacts
from ssul.tracking.view import VIEW, page_tags

EXPERIMENT = "ssul"
FINGERPRINT_TAG = "ssul.fingerprint"
OPEN_COMMAND = "make ui"  # in the project's main folder
_SQLITE = "sqlite:///"
_LOCK_SECONDS = 120
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # mlflow's default lets a stage wait for minutes if no server answers
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # storing a large checkpoint takes long
}

SERVER_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""For MLflow's page: neither telemetry nor the processes of jobs, which nothing here starts."""


class TrackingError(Exception):
    """A run could not be logged or read; the message is one line. Only the log is lost."""


class NoStoreError(TrackingError):
    """There is no store to read."""


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        client: mlflow's.
        experiment_id: of the MLflow experiment that holds all runs.
        uri: its address.
    """

    client: Any
    experiment_id: str
    uri: str

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the store's lock, so that two processes do not add the same thing."""
        with _lock(self.uri):
            yield

    def find_or_create(self, fingerprint: str, name: str, began: float | None = None) -> str:
        """The id of an experiment's run; a new one began then (seconds since 1970), or now. Hold the lock."""
        found = self.search(f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'")
        return found or self.create(name, {FINGERPRINT_TAG: fingerprint}, began)

    def find_or_create_child(self, parent: str, step: int, name: str, began: float | None = None) -> str:
        """The id of the run that holds the training curve of a step, below a parent's; otherwise the same."""
        found = self.search(f"tags.`mlflow.parentRunId` = '{parent}' and tags.`ssul.step` = '{step}'")
        return found or self.create(name, {"mlflow.parentRunId": parent, "ssul.step": str(step)}, began)

    def finish(self, run_id: str, seconds: float | None) -> None:
        """Ends a run, which took so many seconds; of None it keeps the end that it has, or ends now.

        MLflow shows the time between start and end, and never changes a start.
        """
        info = self.client.get_run(run_id).info
        ended = info.end_time if seconds is None else info.start_time + round(1000 * seconds)
        self.client.set_terminated(run_id, "FINISHED", end_time=ended)

    def status(self, run_id: str) -> str:
        """MLflow's status of a run, like FINISHED."""
        return str(self.client.get_run(run_id).info.status)

    def search(self, condition: str) -> str | None:
        """The id of the first run that meets a condition; None if there is none."""
        found = self.client.search_runs([self.experiment_id], condition, max_results=1)
        return str(found[0].info.run_id) if found else None

    def create(self, name: str, tags: dict[str, str], began: float | None = None) -> str:
        """Makes a run that began then (seconds since 1970), or now; returns its id."""
        start = round(1000 * (time.time() if began is None else began))
        return str(self.client.create_run(self.experiment_id, start, tags, name).info.run_id)


def is_on() -> bool:
    """Whether runs are logged.

    Raises:
        TrackingError: if SSUL_TRACKING is neither on nor off.
    """
    try:
        return environment.tracking()
    except UserError as error:
        raise TrackingError(str(error)) from None


def store_uri() -> str:
    """The address of the store: MLFLOW_TRACKING_URI, or mlflow.db in the project's main folder.

    A relative sqlite path is relative to that folder too, because DVC's queue works in other folders.
    """
    uri = environment.store_uri() or f"sqlite:///{_default_database()}"
    if not uri.startswith(_SQLITE):
        return uri
    file, mark, options = uri.removeprefix(_SQLITE).partition("?")
    return f"{_SQLITE}{project_root().resolve() / file}{mark}{options}"


def how_to_open() -> str:
    """The command that shows the runs in a browser, or the address where a server shows them."""
    uri = store_uri()
    if _sqlite_file(uri) == _default_database():
        return OPEN_COMMAND
    return redact_password(
        uri if uri.startswith("http") else f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri {uri}"
    )


def server_uri() -> str | None:
    """The address of a server that keeps the runs, without a password; None where a database is opened directly."""
    uri = store_uri()
    return redact_password(uri) if uri.startswith("http") else None


def prepare_database() -> None:
    """Makes the store ready for MLflow's page; it may not exist yet."""
    database = _sqlite_file(store_uri())
    if database is not None and database.is_file():
        with _lock(store_uri()):
            follow_moved_artifacts(database, EXPERIMENT)


def page_address(server: str) -> str:
    """The address of the table of runs at a server's; the list of experiments, as long as nothing is logged."""
    database = _sqlite_file(store_uri())
    found = None if database is None else experiment_id(database, EXPERIMENT)
    return f"{server}/#/experiments" + ("" if found is None else f"/{found}/{VIEW}")


@contextmanager
def open_store(*, create: bool = True) -> Iterator[Store]:
    """Opens the store, and turns every exception of mlflow within the block into one line.

    Args:
        create: whether a store that does not exist is made; who only reads refuses it.

    Raises:
        NoStoreError: if there is no store, and none is to be made.
        TrackingError: if mlflow is not installed, or its store cannot be reached or written.
    """
    uri = store_uri()
    database = _sqlite_file(uri)
    if not create and database is not None and not database.exists():
        raise NoStoreError(f"there is no MLflow store {database}: `dvc exp run` in the project's folder makes it")
    with explained(f"the MLflow store {uri} cannot be used"):
        with _lock(uri):  # the first clients of a fresh sqlite store collide in its migrations
            store = _open(uri)
        yield store


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Prepares mlflow, and turns every exception of it within the block into one line.

    Args:
        what: has failed if there is one.

    Raises:
        TrackingError: if mlflow is not installed, or raises anything.
    """
    environment.set_defaults(_ENVIRONMENT)
    try:
        yield
    except ImportError as error:
        raise TrackingError(
            f"{error}: install ssul[pipeline] to have MLflow, or set {environment.TRACKING}=off"
        ) from None
    except Exception as error:  # backends raise anything, and a log failure must not lose a finished run
        reason = redact_password(" ".join(str(error).split()))[:300] or type(error).__name__
        raise TrackingError(redact_password(f"{what}: {reason}")) from None


def _open(uri: str) -> Store:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if (database := _sqlite_file(uri)) is not None:
        follow_moved_artifacts(database, EXPERIMENT)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        for key, value in page_tags().items():
            if key not in experiment.tags:  # a store of an older version; the user's changes stay
                client.set_experiment_tag(experiment.experiment_id, key, value)
        return Store(client, experiment.experiment_id, uri)
    # absolute, because experiments run in DVC's temporary folders; stores other than sqlite choose themselves
    place = None if database is None else (database.parent / ARTIFACTS).as_uri()
    return Store(client, client.create_experiment(EXPERIMENT, artifact_location=place, tags=page_tags()), uri)


@contextmanager
def _lock(uri: str) -> Iterator[None]:
    from filelock import FileLock

    database = _sqlite_file(uri)
    lock = _default_database() if database is None else database
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{lock}.lock", timeout=_LOCK_SECONDS):
        if database is not None:
            sqlite3.connect(database).close()  # fails at once; mlflow would retry for minutes
        yield


def _default_database() -> Path:
    return project_root().resolve() / "mlflow.db"


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None
