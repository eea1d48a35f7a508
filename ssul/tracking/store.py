"""The MLflow store: where it is, how it is opened, and how the run of an experiment is found in it.

mlflow is imported late: that takes seconds, and nothing else of ssul needs it.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssul import environment
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.io.urls import redact_password
from ssul.tracking.view import page_tags

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
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # its defaults keep a stage waiting for minutes where no server answers
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # a large checkpoint may take long to be stored
}


class TrackingError(Exception):
    """Why a run could not be logged or read, in one line. Nothing but the log is lost."""


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
        """Holds the store's lock, so that what is read and then added is added once."""
        with _lock(self.uri):
            yield

    def find_or_create(self, fingerprint: str, name: str) -> str:
        """The id of an experiment's run; hold the lock."""
        found = self.search(f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'")
        return found or self.create(name, {FINGERPRINT_TAG: fingerprint})

    def find_or_create_child(self, parent: str, step: int, name: str) -> str:
        """The id of the run that holds the training curve of a step, below a parent's; hold the lock."""
        found = self.search(f"tags.`mlflow.parentRunId` = '{parent}' and tags.`ssul.step` = '{step}'")
        return found or self.create(name, {"mlflow.parentRunId": parent, "ssul.step": str(step)})

    def status(self, run_id: str) -> str:
        """MLflow's word for how a run stands, like FINISHED."""
        return str(self.client.get_run(run_id).info.status)

    def search(self, condition: str) -> str | None:
        """The id of the first run that meets a condition, if any does."""
        found = self.client.search_runs([self.experiment_id], condition, max_results=1)
        return str(found[0].info.run_id) if found else None

    def create(self, name: str, tags: dict[str, str]) -> str:
        """Makes a run."""
        return str(self.client.create_run(self.experiment_id, tags=tags, run_name=name).info.run_id)


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
    """Where runs are kept: MLFLOW_TRACKING_URI, or mlflow.db in the project's main folder.

    A relative sqlite file is meant from there too: DVC's queue works in other folders.
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


@contextmanager
def open_store() -> Iterator[Store]:
    """Opens the store, makes it where there is none, and turns what mlflow raises within the block into one line.

    Raises:
        TrackingError: if mlflow is not installed, or its store cannot be reached or written.
    """
    environment.set_defaults(_ENVIRONMENT)
    uri = store_uri()
    try:
        with _lock(uri):  # the first clients of a fresh sqlite store collide in its migrations
            store = _open(uri)
        yield store
    except ImportError as error:
        raise TrackingError(
            f"{error}: install ssul[pipeline] to have MLflow, or set {environment.TRACKING}=off"
        ) from None
    except Exception as error:  # mlflow passes on what its many backends raise; none of it may cost a finished run
        reason = redact_password(" ".join(str(error).split()))[:300] or type(error).__name__
        raise TrackingError(redact_password(f"the MLflow store {uri} cannot be used: {reason}")) from None


def _open(uri: str) -> Store:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        for key, value in page_tags().items():
            if key not in experiment.tags:  # a store from before this version; what the user changed stays
                client.set_experiment_tag(experiment.experiment_id, key, value)
        return Store(client, experiment.experiment_id, uri)
    # absolute, so that experiments in DVC's temporary folders put theirs in the same place; other stores choose
    database = _sqlite_file(uri)
    place = None if database is None else (database.parent / "mlruns").as_uri()
    return Store(client, client.create_experiment(EXPERIMENT, artifact_location=place, tags=page_tags()), uri)


@contextmanager
def _lock(uri: str) -> Iterator[None]:
    from filelock import FileLock

    database = _sqlite_file(uri)
    lock = _default_database() if database is None else database
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{lock}.lock", timeout=_LOCK_SECONDS):
        if database is not None:
            sqlite3.connect(database).close()  # fails at once where mlflow would try for minutes
        yield


def _default_database() -> Path:
    return project_root().resolve() / "mlflow.db"


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None
