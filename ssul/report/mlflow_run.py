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
from ssul.report.step_images import write_step_images
from ssul.report.write import example_folders
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
    tables = {"confusion.json": confusion_table(results)}
    finished = finished_run(settings, results.rows, results.training, summary, last=last, note=note, tables=tables)
    with TemporaryDirectory() as temporary:
        images, model = Path(temporary) / "images", Path(temporary) / "model"
        images.mkdir()
        write_step_images(images, example_folders(LAYOUT.evaluation(last)), len(results.rows))
        write_model(model)
        _look(settings, results).write(model / LOOK)
        beside = {f"{CHECKPOINT}/{path.name}": path for path in sorted(model.iterdir())}
        log_finished(replace(finished, artifacts=finished.artifacts | {"images": images} | beside))


def confusion_table(results: Results) -> dict[str, list[Any]]:
    """The pixels of each true class (row) by predicted class (column), after the last step."""
    columns = {f"as {name}": [row[place] for row in results.confusion] for place, name in enumerate(results.names)}
    return {"ground truth": list(results.names), **columns}


def _look(settings: Params, results: Results) -> Look:
    """What the predictions of the last checkpoint look like in this folder's evaluation."""
    left = len(ImageIndex.read(LAYOUT.index("val")).class_names) - sum(results.group_sizes)
    asked = settings.evaluation
    background = Background.of(
        in_data=results.has_background, classes_left=left, future=asked.future, unknown=asked.unknown
    )
    return Look(DatasetInfo.read(LAYOUT.dataset_info).palette, background.predicted)
