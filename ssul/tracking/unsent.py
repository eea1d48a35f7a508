"""FinishedRun experiments that MLflow could not take: kept on disk, whole, until it can."""

import shutil
from pathlib import Path

from ssul.config.paths import Layout, project_root
from ssul.tracking.runs import FinishedRun, log_finished
from ssul.tracking.store import TrackingError


def keep(finished: FinishedRun) -> Path:
    """Keeps an experiment; one of the same fingerprint is replaced. Returns where."""
    place = _place_of(finished)
    finished.write(place)
    return place


def forget(finished: FinishedRun) -> None:
    """Forgets what is kept of an experiment that has been logged meanwhile."""
    shutil.rmtree(_place_of(finished), ignore_errors=True)


def kept() -> list[Path]:
    """What is waiting, in no particular but a fixed order."""
    folder = Layout(project_root()).unsent
    return sorted(path.parent for path in folder.glob("*/run.json") if not path.parent.name.startswith("."))


def send(place: Path) -> str:
    """Sends one of `kept` and forgets it; returns the name of the run.

    Raises:
        TrackingError: if it cannot be sent; it stays.
    """
    try:
        finished = FinishedRun.read(place)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TrackingError(f"{place} cannot be read ({type(error).__name__}: {error}); remove it") from None
    log_finished(finished)
    shutil.rmtree(place)
    return finished.experiment.name


def _place_of(finished: FinishedRun) -> Path:
    return Layout(project_root()).unsent / finished.experiment.fingerprint[:16]
