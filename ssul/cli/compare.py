"""`ssul compare`: what several networks see in the same images, side by side."""

from pathlib import Path
from typing import Annotated

import typer

from ssul.cli.options import Root, require_project
from ssul.config.load import load_params
from ssul.config.paths import Layout, data_root
from ssul.errors import UserError
from ssul.pipeline.progress import with_progress


def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            help="Checkpoint folders, runs:/ID or experiments' names; TITLE=WHICH gives a column its title.",
            show_default=False,
        ),
    ],
    images: Annotated[
        str | None, typer.Option(help="Ids of validation images, with commas; by default some that show most classes.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=50, help="How many images, without --images.")] = 4,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("reports/compared.png"),
    root: Root = Path(),
) -> None:
    """Draw validation images with their ground truth and what each of several networks predicts."""
    from ssul.data.dataset import SegmentationDataset  # late: torch takes seconds
    from ssul.data.dataset_info import DatasetInfo
    from ssul.data.index import ImageIndex
    from ssul.evaluation.examples import choose_examples
    from ssul.prediction.model import load
    from ssul.report.images import SeenImage, draw_masks, names_by_id

    require_project(root)
    layout = Layout(root)
    index, palette = ImageIndex.read(layout.index("val")), DatasetInfo.read(layout.dataset_info).palette
    asked = choose_examples(index, count) if images is None else [one.strip() for one in images.split(",")]
    if unknown := [one for one in asked if one not in index.present]:
        raise UserError(f"no validation image is called {', '.join(unknown)}; one is {next(iter(index.present))}")
    titles, models = zip(*((title, load(which)) for title, which in map(_titled, networks)), strict=True)
    known = names_by_id(index)
    for title, model in zip(titles, models, strict=True):
        foreign = [name for key, name in model.names.items() if known.get(key) != name]
        if foreign:
            raise UserError(
                f"{title} has learned {', '.join(foreign)}, which this project's data do not have, or not there"
            )
    dataset = SegmentationDataset.of(index, data_root(load_params(layout.params).data.root, layout), saliency=False)
    rows = []
    for one in with_progress(asked, total=len(asked), title="compare", unit="image"):
        read = dataset.read(one)
        pixels = read.image.permute(1, 2, 0).contiguous().numpy()
        rows.append(SeenImage(pixels, [read.mask.numpy(), *(model.predict(pixels).mask for model in models)]))
    most = max(models, key=lambda model: len(model.names))
    learned = [[most.names[key] for key in group] for group in most.trained.labels.groups]
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_masks(out, "What the networks see", ["ground truth", *titles], rows, learned, names_by_id(index), palette)
    print(out)


def _titled(network: str) -> tuple[str, str]:
    """The title of a column and the checkpoint; without a title, the checkpoint's name."""
    title, equals, which = network.partition("=")
    return (title, which) if equals else (Path(network).name, network)
