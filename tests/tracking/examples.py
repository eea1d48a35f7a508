"""A small finished experiment, an empty MLflow store, and readers of what is logged."""

import functools
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ssul.evaluation.scores import Scores
from ssul.tracking.experiment import Experiment
from ssul.tracking.finished import DatasetRecord, FinishedRun
from ssul.tracking.store import EXPERIMENT, FINGERPRINT_TAG, open_store, store_uri

PROJECT = Path(__file__).parents[2]
SCORES = [field.name for field in fields(Scores) if field.type == float | None]
ROWS: tuple[dict[str, Any], ...] = (
    {"step": 0, "iou": {"background": 0.9, "cat": None}, "holdout": None}
    | dict.fromkeys(SCORES, 0.5)
    | {"new": None, "hiou": None},
    {"step": 1, "iou": {"background": 0.8, "cat": 0.0}, "holdout": None} | dict.fromkeys(SCORES, 0.25),
)
VARIABLES = ("MLFLOW_TRACKING_URI", "SSUL_TRACKING", "SSUL_LIVE_AFTER", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
Points = list[tuple[int, float]]


def curve(step: int, learned: Sequence[str], losses: Sequence[float]) -> dict[str, Any]:
    """A training history as a dict: one point a loss, ten iterations apart."""
    points = [{"iteration": 10 * (at + 1), "loss": loss, "lr": 0.1} for at, loss in enumerate(losses)]
    return {
        "step": step,
        "learned": list(learned),
        "hardware": "CPU, 1 thread",
        "images": 9,
        "exemplars": 0,
        "iterations": 10 * len(losses),
        "points": points,
    }


CURVES = (curve(0, ["cat"], [2.0, 1.5, 1.0]), curve(1, ["sheep", "cow"], [0.75, 0.5]))


def experiment(of: str = "one", **params: Any) -> Experiment:
    """An experiment with a fingerprint and further parameters (`__` for a dot)."""
    given = {name.replace("__", "."): value for name, value in params.items()}
    return Experiment(of, "ssul voc 15-1", {"scenario": "voc_15-1"}, {"seed": 0, "data.root": None} | given)


def finished(
    root: Path,
    of: str = "one",
    *,
    rows: tuple[dict[str, Any], ...] = ROWS,
    curves: tuple[dict[str, Any], ...] = CURVES,
    **params: Any,
) -> FinishedRun:
    """A finished experiment with a page, a figure and a checkpoint of two files, written below `root`."""
    contents = {"reports/index.md": b"page", "reports/figures/curve.png": b"png"}
    contents |= {"step_1/model.json": b"{}", "step_1/head_0.safetensors": bytes(range(256))}
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return FinishedRun(
        experiment(of, **params),
        rows,
        curves,
        DATA,
        {
            "index.md": root / "reports" / "index.md",
            "figures": root / "reports" / "figures",
            "checkpoint": root / "step_1",
        },
    )


DATA = DatasetRecord("voc", "0123456789abcdef", "/data/voc", {"setting": "overlapped", "training images": 9})
"""The dataset of a finished experiment."""


@functools.cache
def _empty_store() -> bytes:
    pytest.importorskip("mlflow")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        with open_store():
            pass
        database = sqlite3.connect(f"{folder}/mlflow.db")
        with database:
            for table in ("experiment_tags", "experiments"):
                database.execute(f"delete from {table} where experiment_id != '0'")  # 0 is mlflow's own
        content = database.serialize()
        database.close()
        return content


def empty_store(path: Path) -> None:
    """Writes a store without a run, at once; mlflow takes six seconds to make its tables."""
    path.write_bytes(_empty_store())


def own_project(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Makes a folder the project and the working folder, with an empty store in its usual place."""
    root.mkdir(parents=True, exist_ok=True)
    for variable in VARIABLES:
        patch.delenv(variable, raising=False)
    empty_store(root / "mlflow.db")
    patch.setenv("DVC_ROOT", str(root))
    patch.chdir(root)


def client() -> Any:
    """mlflow's client of the store that the environment names."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store_uri())


def runs(condition: str = "", *, deleted: bool = False) -> list[Any]:
    """All runs that meet a condition; or those that were deleted."""
    from mlflow.entities import ViewType

    known = client().get_experiment_by_name(EXPERIMENT)
    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    return [] if known is None else list(client().search_runs([known.experiment_id], condition, view, 50_000))


def parents(*, deleted: bool = False) -> list[Any]:
    """The runs of experiments."""
    return [run for run in runs(deleted=deleted) if FINGERPRINT_TAG in run.data.tags]


def parent(of: str = "one") -> Any:
    """The only run of an experiment."""
    (run,) = runs(f"tags.`{FINGERPRINT_TAG}` = '{of}'")
    return run


def children(run_id: str, *, deleted: bool = False) -> dict[str, Any]:
    """The runs below a run, by name, in the order of the steps."""
    found = runs(f"tags.`mlflow.parentRunId` = '{run_id}'", deleted=deleted)
    found.sort(key=lambda run: int(run.data.tags["ssul.step"]))
    named = {run.info.run_name: run for run in found}
    assert len(named) == len(found)
    return named


def points(run_id: str, key: str) -> Points:
    """All points of a metric, with duplicates."""
    return sorted((point.step, point.value) for point in client().get_metric_history(run_id, key))


def losses(curve: dict[str, Any], name: str = "loss") -> Points:
    """The expected points of a curve."""
    return [(point["iteration"], point[name]) for point in curve["points"]]


def child_losses(run_id: str) -> list[Points]:
    """The logged training curve of each step below a run, in the order of the steps."""
    return [points(child.info.run_id, "loss") for child in children(run_id).values()]


def files(run_id: str, folder: str = "") -> set[str]:
    """The paths of all artifacts of a run."""
    found: set[str] = set()
    for one in client().list_artifacts(run_id, folder):
        found |= files(run_id, one.path) if one.is_dir else {one.path}
    return found


def everything() -> list[Any]:
    """The content of the store, without times, for a comparison."""
    return sorted(
        (
            run.info.run_id,
            run.info.run_name,
            run.info.status,
            run.info.lifecycle_stage,
            sorted(run.data.params.items()),
            sorted(run.data.tags.items()),
            {key: points(run.info.run_id, key) for key in sorted(run.data.metrics)},
            [(one.dataset.name, one.dataset.digest, one.dataset.source) for one in run.inputs.dataset_inputs],
            sorted(files(run.info.run_id)),
        )
        for run in [*runs(), *runs(deleted=True)]
    )
