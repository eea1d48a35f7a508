"""Writes reports/ from the results of an evaluation: JSON rows, figures and the page."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ssul.config.naming import RunName
from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.results import Results
from ssul.io.atomic import replace_dir, write_json, write_text
from ssul.report.figures import draw_all
from ssul.report.memory import shown_exemplars
from ssul.report.page import write_page
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
    info = DatasetInfo.read(layout.dataset_info)
    exemplars, missing = shown_exemplars(layout, settings.data.root, step)
    with replace_dir(layout.figures) as folder:
        figures = draw_all(
            folder,
            results,
            examples=layout.evaluation(step) / "examples",
            exemplars=exemplars,
            index=ImageIndex.read(layout.index("val")),
            palette=info.palette,
        )
    page = write_page(
        name,
        results,
        capacity=settings.memory.capacity,
        future=settings.evaluation.future,
        unknown=settings.evaluation.unknown,
        crop=settings.evaluation.crop if settings.evaluation.protocol == "crop" else None,
        images=settings.evaluation.images,
        splits=split_section(summary, train_skipped=info.train_skipped, val_skipped=info.val_skipped),
        figures=figures,
    )
    write_text(layout.page, page)
    return missing
