"""Stage `report`: what came out, as JSON, figures and a page, and the run's entry in MLflow."""

import json
import sys
from pathlib import Path
from typing import Any

from ssul import config, tracking
from ssul.atomic import replaced_folder, write_text
from ssul.config import Settings
from ssul.data.about import About
from ssul.data.index import ImageIndex
from ssul.errors import UserError
from ssul.evaluation.results import Results
from ssul.report import tables
from ssul.report.figures import draw_all
from ssul.report.page import Subject, write_page
from ssul.report.split_section import split_section
from stages.entry import LAYOUT, run


def main(last: str) -> None:
    """Writes reports/ from data/evaluation/step_LAST."""
    settings = config.load(LAYOUT.params)
    evaluation = LAYOUT.evaluation(int(last))
    results = Results.read(evaluation)
    learned = tables.learned_classes(results.names, results.group_sizes)
    rows = tables.per_step(results.rows, learned)
    write_json(LAYOUT.miou_per_step, rows)
    write_json(LAYOUT.metrics, tables.final_metrics(results.rows[-1]))
    subject = Subject.of(settings)
    val, about = ImageIndex.read(LAYOUT.index("val")), About.read(LAYOUT.about)
    with replaced_folder(LAYOUT.figures) as folder:
        figures = draw_all(
            folder,
            rows=results.rows,
            learned=learned,
            confusion=results.confusion,
            pictures=evaluation / "pictures",
            index=val,
            palette=about.palette,
        )
    page = write_page(
        subject,
        results,
        capacity=settings.memory.capacity,
        future=settings.evaluation.future,
        crop=settings.evaluation.crop if settings.evaluation.protocol == "crop" else None,
        splits=split_section(read_summary(), train_skipped=about.train_skipped, val_skipped=about.val_skipped),
        figures=figures,
        open_runs=tracking.OPEN_COMMAND,
    )
    write_text(LAYOUT.page, page)
    print(f"\nmean IoU and forgetting in percent, {subject}\n\n{tables.text_table(rows)}\n")
    print(f"report: {LAYOUT.page}", flush=True)
    track(settings, subject, results)


def track(settings: Settings, subject: Subject, results: Results) -> None:
    """Logs the run in MLflow; where that fails, one line says why, and the reports are complete all the same."""
    # scenario.steps follows from the other parameters and would be a parameter for each step
    params = tracking.flatten(settings.model_dump(mode="json", exclude={"scenario": {"steps"}}))
    index = [*(LAYOUT.index(split) for split in ("train", "val")), LAYOUT.start]
    try:
        if not tracking.is_on():
            return
        tracking.log_experiment(
            fingerprint=tracking.fingerprint(params, LAYOUT.code, index),
            name=str(subject),
            tags=vars(subject),
            params=params,
            rows=results.rows,
            artifacts=[LAYOUT.metrics, LAYOUT.miou_per_step, LAYOUT.page, LAYOUT.figures],
        )
        print(f"MLflow: {tracking.how_to_open()}")
    except tracking.TrackingError as error:
        print(
            f"warning: this run is not in MLflow: {error}. Log it later with `dvc repro --force --single-item report`",
            file=sys.stderr,
        )


def read_summary() -> Any:
    """Reads what the stage `splits` told of the splits.

    Raises:
        UserError: if it is missing.
    """
    try:
        return json.loads(LAYOUT.split_summary.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"the summary {LAYOUT.split_summary} is missing: run `dvc repro splits`") from None


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
