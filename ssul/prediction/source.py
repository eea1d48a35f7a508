"""Where a checkpoint comes from: a folder, a run of MLflow, or the name of an experiment."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssul.errors import UserError
from ssul.tracking.collect import LoggedRun, fetch_artifact, finished_runs
from ssul.tracking.finished import CHECKPOINT
from ssul.tracking.store import TrackingError

_RUN = "runs:/"
_MAX_NAMED = 5


@contextmanager
def checkpoint_folder(checkpoint: str | Path) -> Iterator[Path]:
    """The folder of a checkpoint, for as long as the block runs.

    Args:
        checkpoint: a folder; `runs:/ID`; or the name of an experiment, which may be DVC's, MLflow's or the run's id.

    Raises:
        UserError: if there is none, or a name fits several.
    """
    path = Path(checkpoint)
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ssul-") as temporary:
        yield _fetched(str(checkpoint), Path(temporary))


def _fetched(name: str, folder: Path) -> Path:
    """The checkpoint of a run, copied below a folder."""
    try:
        run = name.removeprefix(_RUN).partition("/")[0] if name.startswith(_RUN) else _run_named(name, finished_runs())
        return fetch_artifact(run, CHECKPOINT, folder)
    except TrackingError as error:
        what = "is no folder, and no run can be asked" if not name.startswith(_RUN) else "cannot be fetched"
        raise UserError(f"the checkpoint {name} {what}: {error}") from None


def _run_named(name: str, runs: list[LoggedRun]) -> str:
    """The id of the run of a name."""
    found = [run for run in runs if name in (run.id, run.tags.get("dvc.experiment"), run.tags.get("mlflow.runName"))]
    if not found:
        raise UserError(
            f"the checkpoint {name} is neither a folder nor an experiment: give a folder such as "
            f"data/checkpoints/step_0, {_RUN}ID, or a name that `dvc exp show` or MLflow shows (finished runs: "
            f"{len(runs)})"
        )
    if len(found) > 1:
        shown = ", ".join(f"{_RUN}{run.id}" for run in found[:_MAX_NAMED])
        raise UserError(f"{len(found)} runs are named {name}: choose one by its id, the latest first: {shown}")
    return found[0].id
