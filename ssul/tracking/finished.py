"""Everything that MLflow is given of a finished experiment."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ssul.config.paths import IMAGE_COUNTS, LAYOUT
from ssul.config.schema import Params
from ssul.config.stages import read_stages
from ssul.tracking.experiment import Experiment, experiment_of
from ssul.tracking.stage_times import StageTime, command_start, known_times, total_seconds, training_stage

CHECKPOINT = "checkpoint"
"""The last checkpoint among a run's artifacts, which is also a model of MLflow (`ssul.tracking.model`)."""


@dataclass(frozen=True)
class DatasetRecord:
    """The dataset as MLflow shows it.

    Attributes:
        name: of the dataset.
        digest: up to 36 characters that change with the data.
        source: its folder.
        profile: JSON; images and classes of each step.
    """

    name: str
    digest: str
    source: str
    profile: dict[str, Any]


@dataclass(frozen=True)
class FinishedRun:
    """Everything that is logged of a finished experiment.

    Attributes:
        experiment: its identity.
        rows: `Scores` as dicts, one a step; each becomes one point of every metric at step = row["step"].
        curves: training histories (`ssul.training.history`) as dicts, one for each step that was trained.
        data: of the trainings.
        artifacts: path in the run -> file or folder to store there.
        tables: path in the run -> rows by column, shown as a table.
        validation: the validation images.
        times: of its stages, see `ssul.tracking.stage_times`.
        unmeasured: the stages whose times are not known.
    """

    experiment: Experiment
    rows: tuple[dict[str, Any], ...]
    curves: tuple[dict[str, Any], ...]
    data: DatasetRecord
    artifacts: dict[str, Path]
    tables: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    validation: DatasetRecord | None = None
    times: Mapping[str, StageTime] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The time of all measured stages, and of the command that reports them so far."""
        return total_seconds(self.times.values(), command_start())

    def step_time(self, step: int) -> StageTime | None:
        """The time of a step's training; None if it is not known."""
        return self.times.get(training_stage(step))


def finished_run(
    settings: Params,
    rows: Sequence[dict[str, Any]],
    curves: Sequence[dict[str, Any]],
    summary: Mapping[str, Any],
    *,
    last: int,
    note: str,
    tables: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
) -> FinishedRun:
    """The finished experiment of this working folder.

    Args:
        settings: all parameters.
        rows, curves: see `FinishedRun`.
        summary: of the splits, as `ssul.scenario.summary.summarise` makes it.
        last: index of the last step.
        note: the description of the run, as Markdown.
        tables: see `FinishedRun`.
    """
    experiment, data = experiment_of(settings), training_data(settings, summary)
    tags = {
        "data.digest": data.digest,
        "hardware": "; ".join(dict.fromkeys(curve["hardware"] for curve in curves)),
        "mlflow.note.content": note,
    }
    stages = [one for one in read_stages(LAYOUT.pipeline, settings.model_dump(mode="json")) if one.name != "report"]
    times = known_times(stages)
    versions = {name: value for time in times.values() for name, value in time.versions.items()}
    tags |= {f"version.{name}": value for name, value in versions.items()}
    tags |= {"unmeasured": ", ".join(one.name for one in stages if one.name not in times)}
    return FinishedRun(
        replace(experiment, tags=experiment.tags | {key: value for key, value in tags.items() if value}),
        tuple(rows),
        tuple(curves),
        data,
        {path.name: path for path in (LAYOUT.metrics, LAYOUT.miou_per_step, LAYOUT.class_iou, *LAYOUT.pages)}
        | {"figures": LAYOUT.figures, CHECKPOINT: LAYOUT.checkpoint(last)}
        | {IMAGE_COUNTS: LAYOUT.evaluation(last) / IMAGE_COUNTS},
        tables or {},
        DatasetRecord(f"{data.name} validation", digest_of(LAYOUT.index("val")), data.source, {}),
        times,
        tuple(one.name for one in stages if one.name not in times),
    )


def training_data(settings: Params, summary: Mapping[str, Any]) -> DatasetRecord:
    """What this working folder trains on; the arguments are those of `finished_run`."""
    digest = digest_of(LAYOUT.index("train"), LAYOUT.index("val"))
    source = settings.data.root or "drawn by the pipeline"
    return DatasetRecord(settings.data.name, digest, source, data_profile(summary))


def data_profile(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The classes and the number of training images of each step."""
    steps = {
        f"step {step['step']}": {"classes": [one["name"] for one in step["classes"]], "images": step["images"]}
        for step in summary["steps"]
    }
    return {"setting": summary["setting"], "training images": summary["images"], **steps}


def digest_of(*files: Path) -> str:
    """Sixteen hexadecimal digits that change with any of the files."""
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()[:16]
