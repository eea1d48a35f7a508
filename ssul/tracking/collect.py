"""Reading finished runs back from MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ssul.tracking.store import FINGERPRINT_TAG, open_store

_PAGE = 1000  # runs in one request; MLflow's limit is 50,000


@dataclass(frozen=True)
class LoggedRun:
    """A finished experiment as MLflow holds it.

    Attributes:
        id: of the run.
        tags, params: as text.
        scores: the latest value of each metric, in 0..1: after the last step of those that it defines.
        ended: milliseconds since 1970.
    """

    id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    scores: Mapping[str, float]
    ended: int


def finished_runs() -> list[LoggedRun]:
    """All finished experiments of the store, the latest first.

    Raises:
        TrackingError: if mlflow is not installed, or its store cannot be reached.
    """
    found: list[LoggedRun] = []
    with open_store(create=False) as store:
        token: str | None = None
        while token is None or token:
            page = store.client.search_runs(
                [store.experiment_id],
                "attributes.status = 'FINISHED'",
                max_results=_PAGE,
                order_by=["attributes.end_time DESC"],
                page_token=token,
            )
            found += [
                LoggedRun(run.info.run_id, run.data.tags, run.data.params, run.data.metrics, run.info.end_time or 0)
                for run in page
                if FINGERPRINT_TAG in run.data.tags
            ]
            token = page.token or ""
    return found


def step_scores(run_id: str, metric: str) -> dict[int, float]:
    """A metric of a run after each step.

    Raises:
        TrackingError: if the store cannot be read.
    """
    with open_store(create=False) as store:
        return {point.step: point.value for point in store.client.get_metric_history(run_id, metric)}


def fetch_artifact(run_id: str, name: str, folder: Path) -> Path:
    """Copies an artifact of a run below a folder that exists, and returns its path.

    Raises:
        TrackingError: if the run has no such artifact, or the store cannot be read.
    """
    with open_store(create=False) as store:
        return Path(store.client.download_artifacts(run_id, name, str(folder)))
