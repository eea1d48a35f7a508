"""The run of a report in MLflow."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ssul.config.naming import RunName
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.results import Results
from ssul.labels.background import Background
from ssul.prediction.look import LOOK, Look
from ssul.report.page import run_description
from ssul.tracking.finished import CHECKPOINT, finished_run
from ssul.tracking.model import write_model
from ssul.tracking.runs import log_finished


def log_run(settings: Params, results: Results, summary: Mapping[str, Any], last: int) -> None:
    """Logs the experiment of this working folder, or completes its run.

    Args:
        settings: all parameters.
        results: of all steps.
        summary: of the splits, as `ssul.scenario.summary.summarise` makes it.
        last: index of the last step.

    Raises:
        TrackingError: if mlflow is not installed, or its store cannot be reached or written.
    """
    note = run_description(RunName.of(settings).run_name(settings.seed), results)
    finished = finished_run(settings, results.rows, results.training, summary, last=last, note=note)
    with TemporaryDirectory() as temporary:
        write_model(model := Path(temporary) / "model")
        _look(settings, results).write(model / LOOK)
        beside = {f"{CHECKPOINT}/{path.name}": path for path in sorted(model.iterdir())}
        log_finished(replace(finished, artifacts=finished.artifacts | beside))


def _look(settings: Params, results: Results) -> Look:
    """What the predictions of the last checkpoint look like in this folder's evaluation."""
    left = len(ImageIndex.read(LAYOUT.index("val")).class_names) - sum(results.group_sizes)
    asked = settings.evaluation
    background = Background.of(
        in_data=results.has_background, classes_left=left, future=asked.future, unknown=asked.unknown
    )
    return Look(DatasetInfo.read(LAYOUT.dataset_info).palette, background.predicted)
