"""Writes reports/ from the results of an evaluation: JSON rows, figures and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssul.config.naming import RunName
from ssul.config.paths import Layout, data_root
from ssul.config.schema import Params
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths
from ssul.evaluation.results import Results
from ssul.io.atomic import replace_dir, write_json, write_text
from ssul.memory.exemplars import read_exemplars
from ssul.report.curves import draw_training
from ssul.report.figures import draw_all
from ssul.report.images import ShownExemplar, draw_memory
from ssul.report.page import write_page
from ssul.report.rows import class_rows, final_metrics, learned_classes, per_step, training_rows
from ssul.report.split_section import split_section
from ssul.tracking.store import OPEN_COMMAND


def write_report(
    layout: Layout,
    settings: Params,
    results: Results,
    summary: Mapping[str, Any],
    *,
    step: int,
    exemplars: Sequence[ShownExemplar],
) -> None:
    """Writes all files of reports/, the same bytes for the same results.

    Args:
        layout: where everything is read and written.
        settings: all parameters.
        results: of all steps.
        summary: of the splits, as `ssul.scenario.summary.summarise` makes it.
        step: index of the last step.
        exemplars: in memory during the last step; may be empty.
    """
    learned, last = learned_classes(results.names, results.group_sizes), results.rows[-1]
    write_json(layout.miou_per_step, per_step(results.rows, learned))
    write_json(layout.metrics, final_metrics(last))
    write_json(layout.class_iou, class_rows(last, learned))
    write_json(layout.training_curve, training_rows(results.training))
    info = DatasetInfo.read(layout.dataset_info)
    with replace_dir(layout.figures) as folder:
        draw_all(
            folder,
            rows=results.rows,
            learned=learned,
            confusion=results.confusion,
            pictures=layout.evaluation(step) / "pictures",
            index=ImageIndex.read(layout.index("val")),
            palette=info.palette,
        )
        if results.training:
            draw_training(folder / "training.png", results.training)
        if exemplars:
            draw_memory(folder / "memory.png", exemplars)
        figures = sorted(path.name for path in folder.iterdir())
    page = write_page(
        RunName.of(settings),
        results,
        capacity=settings.memory.capacity,
        future=settings.evaluation.future,
        crop=settings.evaluation.crop if settings.evaluation.protocol == "crop" else None,
        splits=split_section(summary, train_skipped=info.train_skipped, val_skipped=info.val_skipped),
        figures=figures,
        open_runs=OPEN_COMMAND,
    )
    write_text(layout.page, page)


def shown_exemplars(layout: Layout, root: str | None, step: int) -> tuple[list[ShownExemplar], int]:
    """The exemplars in memory during a step, as the figure shows them.

    Args:
        layout: where index and memory lie.
        root: `data.root`.
        step: index.

    Returns:
        The exemplars whose image files exist, and the number of the others.
    """
    index = ImageIndex.read(layout.index("train"))
    paths = ImagePaths(data_root(root, layout), index.files)
    exemplars = [
        ShownExemplar(paths.image(exemplar.id), tuple(index.class_name(class_id) for class_id in exemplar.classes))
        for exemplar in read_exemplars(layout.memory(step))
    ]
    found = [exemplar for exemplar in exemplars if exemplar.path.is_file()]
    return found, len(exemplars) - len(found)
