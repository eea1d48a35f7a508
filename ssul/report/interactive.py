"""The interactive page of a run, reports/index.html: one file that needs nothing else, the same bytes for the same run.

Its words are those of the page in Markdown (`ssul.report.page`). Its images lie within it, and masks as class ids, so
that the script can name the class under the pointer. html/ holds the template, the style and the script.
"""

from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from ssul.config.paths import Layout, data_root
from ssul.config.schema import Params
from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths
from ssul.evaluation.image_counts import read_counts
from ssul.evaluation.results import Results
from ssul.evaluation.small_masks import read_masks
from ssul.labels.colours import Colour
from ssul.report.cell_tables import confusion_rows, iou_rows
from ssul.report.gallery import choose_images, class_places
from ssul.report.inline import inline_image
from ssul.report.memory import ShownExemplar, select_shown
from ssul.report.page import STEPS_UNIT, PageText
from ssul.report.page_data import hex_colour, page_data
from ssul.report.rows import heading
from ssul.report.tables import percent
from ssul.report.templates import page_asset, page_template, within_script

_TILES = ("all", "old", "new", "hiou", "forgetting")
_EXEMPLAR_SIDE = 120  # pixels


def write_interactive(
    layout: Layout,
    settings: Params,
    results: Results,
    words: PageText,
    *,
    step: int,
    index: ImageIndex,
    palette: Sequence[Colour],
    examples: Sequence[Path],
    exemplars: Sequence[ShownExemplar],
) -> str:
    """The page as HTML.

    Args:
        layout: the paths of the evaluation and the images.
        settings: all parameters.
        results: of all steps.
        words: of the run.
        step: index of the last step.
        index: of the validation images.
        palette: RGB 0..255 of the background and of each class.
        examples: the folders of the example images.
        exemplars: in memory during the last step; may be empty.

    Raises:
        UserError: if what the evaluation kept of each image is missing or damaged.
    """
    future, evaluation = settings.evaluation.future, layout.evaluation(step)
    masks = read_masks(evaluation)
    gallery = choose_images(read_counts(evaluation), masks, class_places(results.names, index, future))
    data = page_data(
        results,
        gallery,
        index=index,
        palette=palette,
        future=future,
        examples=examples,
        masks=masks,
        paths=ImagePaths(data_root(settings.data.root, layout), index.files),
        square=settings.evaluation.protocol == "crop",
    )
    ids = {one["name"]: one["id"] for one in data["classes"]}
    remembered, which = select_shown(exemplars)
    matrix = confusion_rows(results, ids)
    text = {name: Markup(_html(markdown)) for name, markdown in vars(words).items()}
    html: str = page_template("page.html.j2").render(
        text=text,
        title=text["title"].striptags(),
        unit=STEPS_UNIT,
        steps=len(results.rows),
        tiles=[(heading(name), percent(results.rows[-1][name])) for name in _TILES],
        colours={name: hex_colour(palette[class_id]) for name, class_id in ids.items()},
        heat=iou_rows(results),
        matrix=matrix,
        classes=len(results.names),
        worst_of=[name for name in data["worst"] if name],
        remembered=[(_exemplar(one), ", ".join(one.classes)) for one in remembered],
        which=which,
        training=bool(results.training),
        data=within_script(data),
        css=page_asset("page.css"),
        script=page_asset("pictures.js", "page.js"),
    )
    return html


def _html(markdown: str) -> str:
    """Markdown of this package as HTML; names in it are escaped already, see `ssul.report.markdown.markdown`."""
    html: str = MarkdownIt("commonmark").enable("table").render(markdown)
    return html


def _exemplar(one: ShownExemplar) -> str:
    return inline_image(one.path, (_EXEMPLAR_SIDE, _EXEMPLAR_SIDE), square=True)
