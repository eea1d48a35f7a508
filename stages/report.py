"""Stage `report`: what came out, as JSON, figures and a page, and the run's entry in MLflow."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssul.config.load import load_params
from ssul.config.naming import RunName
from ssul.config.paths import LAYOUT, data_root
from ssul.config.schema import Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.results import Results
from ssul.io.atomic import replace_dir, write_text
from ssul.io.strict_json import read_json
from ssul.memory.exemplars import read_exemplars
from ssul.pipeline.run import run
from ssul.report.curves import draw_training
from ssul.report.figures import draw_all
from ssul.report.images import ShownExemplar, draw_memory
from ssul.report.page import write_page
from ssul.report.rows import class_rows, final_metrics, learned_classes, per_step, training_rows
from ssul.report.split_section import split_section
from ssul.report.tables import markdown_steps, text_table
from ssul.tracking import store
from ssul.tracking.experiment import experiment_of
from ssul.tracking.runs import DatasetRecord, FinishedRun, log_finished

LATER = "Log it later with `dvc repro --force --single-item report`"


def main(last: str) -> None:
    """Writes reports/ from data/evaluation/step_LAST."""
    settings = load_params(LAYOUT.params)
    evaluation = LAYOUT.evaluation(int(last))
    results = Results.read(evaluation)
    learned = learned_classes(results.names, results.group_sizes)
    rows = per_step(results.rows, learned)
    write_json(LAYOUT.miou_per_step, rows)
    write_json(LAYOUT.metrics, final_metrics(results.rows[-1]))
    write_json(LAYOUT.class_iou, class_rows(results.rows[-1], learned))
    write_json(LAYOUT.training_curve, training_rows(results.training))
    subject, summary = RunName.of(settings), read_summary()
    val, about = ImageIndex.read(LAYOUT.index("val")), DatasetInfo.read(LAYOUT.dataset_info)
    with replace_dir(LAYOUT.figures) as folder:
        draw_all(
            folder,
            rows=results.rows,
            learned=learned,
            confusion=results.confusion,
            pictures=evaluation / "pictures",
            index=val,
            palette=about.palette,
        )
        if results.training:
            draw_training(folder / "training.png", results.training)
        if exemplars := remembered(settings, int(last)):
            draw_memory(folder / "memory.png", exemplars)
        figures = sorted(path.name for path in folder.iterdir())
    page = write_page(
        subject,
        results,
        capacity=settings.memory.capacity,
        future=settings.evaluation.future,
        crop=settings.evaluation.crop if settings.evaluation.protocol == "crop" else None,
        splits=split_section(summary, train_skipped=about.train_skipped, val_skipped=about.val_skipped),
        figures=figures,
        open_runs=store.OPEN_COMMAND,
    )
    write_text(LAYOUT.page, page)
    print(f"\nmean IoU and forgetting in percent, {subject}\n\n{text_table(rows)}\n")
    print(f"report: {LAYOUT.page}", flush=True)
    track(settings, results, summary, int(last))
    write_json(LAYOUT.reported, {"step": int(last)})


def track(settings: Params, results: Results, summary: Mapping[str, Any], last: int) -> None:
    """Logs the run in MLflow; a failure costs a warning, because the reports are complete without it."""
    try:
        if store.is_on():
            log_finished(finished_of(settings, results, summary, last))
            print(f"MLflow: {store.how_to_open()}")
    except store.TrackingError as error:
        print(f"warning: this run is not in MLflow: {error}. {LATER}", file=sys.stderr)


def finished_of(settings: Params, results: Results, summary: Mapping[str, Any], last: int) -> FinishedRun:
    """What MLflow is told of a run."""
    experiment = experiment_of(settings)
    digest = digest_of(LAYOUT.index("train"), LAYOUT.index("val"))
    tags = {
        "data.digest": digest,
        "hardware": "; ".join(dict.fromkeys(curve["hardware"] for curve in results.training)),
    }
    tags["mlflow.note.content"] = description(experiment.name, results)
    return FinishedRun(
        replace(experiment, tags=experiment.tags | {key: value for key, value in tags.items() if value}),
        results.rows,
        results.training,
        DatasetRecord(
            name=results.data_set,
            digest=digest,
            source=settings.data.root or "drawn by the pipeline",
            profile=data_profile(summary),
        ),
        {path.name: path for path in (LAYOUT.metrics, LAYOUT.miou_per_step, LAYOUT.class_iou, LAYOUT.page)}
        | {"figures": LAYOUT.figures, "checkpoint": LAYOUT.checkpoint(last)},
    )


def description(name: str, results: Results) -> str:
    """A run's description in MLflow, as Markdown."""
    table = markdown_steps(per_step(results.rows, learned_classes(results.names, results.group_sizes)))
    fetch = "`mlflow artifacts download -r RUN_ID -a checkpoint`"
    return (
        f"**{name}**: mean IoU and forgetting in percent, on {results.images} validation images.\n\n{table}\n\n"
        f"Artifacts: the report `index.md`, its figures, and the last network in `checkpoint/`. {fetch} fetches it, "
        "and `ssul.inference.trained_model.TrainedModel.load` opens it. "
        "The runs below this one are the steps, with their training curves."
    )


def data_profile(summary: Mapping[str, Any]) -> dict[str, Any]:
    """How many training images each step learned which classes from."""
    steps = {
        f"step {step['step']}": {"classes": [one["name"] for one in step["classes"]], "images": step["images"]}
        for step in summary["steps"]
    }
    return {"setting": summary["setting"], "training images": summary["images"], **steps}


def digest_of(*files: Path) -> str:
    """Sixteen hexadecimal digits that differ when one of the files does."""
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()[:16]


def remembered(settings: Params, last: int) -> list[ShownExemplar]:
    """The exemplars in memory during the last step, with what they show."""
    index = ImageIndex.read(LAYOUT.index("train"))
    pictures = SegmentationDataset.of(
        index, data_root(settings.data.root, LAYOUT), saliency=settings.data.saliency == "maps"
    )
    exemplars = [
        ShownExemplar(
            pictures.folders.image(exemplar.id), tuple(index.class_name(class_id) for class_id in exemplar.classes)
        )
        for exemplar in read_exemplars(LAYOUT.memory(last))
    ]
    there = [exemplar for exemplar in exemplars if exemplar.picture.is_file()]
    if len(there) < len(exemplars):
        missing = len(exemplars) - len(there)
        print(
            f"warning: exemplars that are not shown: {missing}, for their pictures are not at data.root",
            file=sys.stderr,
        )
    return there


def read_summary() -> Any:
    """Reads what the stage `splits` told of the splits.

    Raises:
        UserError: if it is missing or damaged.
    """
    return read_json(LAYOUT.split_summary, dict[str, Any], what="the summary", way_out="run `dvc repro splits`")


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
