"""Writes reports/ from the results of an evaluation: JSON rows, figures and the pages."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssul.config.naming import RunName
from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.results import Results
from ssul.io.atomic import replace_dir, write_json, write_text
from ssul.report.figures import draw_all
from ssul.report.interactive import write_interactive
from ssul.report.memory import shown_exemplars
from ssul.report.page import page_text, write_page
from ssul.report.reported_run import ReportedRun, setup_of
from ssul.report.rows import class_rows, final_metrics, learned_classes, step_rows, training_rows
from ssul.report.split_section import split_section
from ssul.tracking.experiment import logged_params


def write_report(layout: Layout, settings: Params, results: Results, summary: Mapping[str, Any], *, step: int) -> int:
    """Writes all files of reports/, the same bytes for the same results.

    Args:
        layout: the paths of everything that is read and written.
        settings: all parameters.
        results: of all steps.
        summary: of the splits, as `ssul.scenario.summary.summarise` makes it.
        step: index of the last step.

    Returns:
        How many exemplars are not shown, because their image files are missing.
    """
    learned, last = learned_classes(results.names, results.group_sizes), results.rows[-1]
    name = RunName.of(settings)
    write_json(
        layout.reported_run, asdict(ReportedRun(name.with_seed(settings.seed), setup_of(logged_params(settings))))
    )
    write_json(layout.miou_per_step, step_rows(results))
    write_json(layout.metrics, final_metrics(last))
    write_json(layout.class_iou, class_rows(last, learned))
    write_json(layout.training_curve, training_rows(results.training))
    info, index = DatasetInfo.read(layout.dataset_info), ImageIndex.read(layout.index("val"))
    exemplars, missing = shown_exemplars(layout, settings.data.root, step)
    examples = example_folders(layout.evaluation(step))
    with replace_dir(layout.figures) as folder:
        figures = draw_all(folder, results, examples=examples, exemplars=exemplars, index=index, palette=info.palette)
    words = page_text(
        name,
        results,
        capacity=settings.memory.capacity,
        future=settings.evaluation.future,
        unknown=settings.evaluation.unknown,
        crop=settings.evaluation.crop if settings.evaluation.protocol == "crop" else None,
        images=settings.evaluation.images,
        examples=bool(examples),
        splits=split_section(summary, train_skipped=info.train_skipped, val_skipped=info.val_skipped),
    )
    write_text(layout.page, write_page(words, figures))
    interactive = write_interactive(
        layout,
        settings,
        results,
        words,
        step=step,
        index=index,
        palette=info.palette,
        examples=examples,
        exemplars=exemplars,
    )
    write_text(layout.interactive_page, interactive)
    return missing


def example_folders(evaluation: Path) -> list[Path]:
    """A folder for each example image of an evaluation, in the order of their names."""
    folder = evaluation / "examples"
    return sorted(place for place in folder.iterdir() if place.is_dir()) if folder.is_dir() else []
