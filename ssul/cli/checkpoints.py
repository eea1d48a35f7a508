"""`ssul evaluate`, `ssul import-checkpoint` and `ssul export-backbone`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from tqdm import tqdm

from ssul.cli.conf_files import known_dataset
from ssul.cli.options import Root
from ssul.config.paths import Layout
from ssul.config.schema import Images
from ssul.errors import UserError
from ssul.evaluation.results import Results
from ssul.labels.background import Future, Unknown
from ssul.pipeline.made_with import noted_params
from ssul.report.rows import heading
from ssul.report.tables import percent
from ssul.scenario.order import ScenarioName, learning_order

Precision = Literal["32", "bf16"]
BASE_STAGES = ("prepare", "splits", "train_base")
"""The stages whose parameters decide the base step."""


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A checkpoint of SSUL's published code (.pth).")],
    scenario: Annotated[str, typer.Option(help="What it learned, like voc_15-1.")],
    step: Annotated[int, typer.Option(help="After which step, from 0.")],
    out: Annotated[Path, typer.Option(help="The folder to write our checkpoint to.")],
    output_stride: Annotated[int, typer.Option(help="Of the network: 8 or 16; the file does not hold it.")] = 16,
    root: Root = Path(),
) -> None:
    """Turn a checkpoint of the published code into ours; every tensor is used once, or the file is refused."""
    from ssul.cli.published_checkpoint import import_file  # late: it brings torch, which takes seconds

    name = ScenarioName.parse(scenario)
    data_set = known_dataset(name.dataset, root)
    order = learning_order(name.order, dataset=data_set.name, names=data_set.classes)
    steps = name.scenario(order).steps
    if not 0 <= step < len(steps):
        raise UserError(f"--step is {step}, but {scenario} has the steps 0..{len(steps) - 1}")
    if output_stride not in (8, 16):
        raise UserError(f"--output-stride is {output_stride}: choose 8 or 16")
    groups = tuple(past.new for past in steps[: step + 1])
    model = import_file(file, groups, data_set.classes, output_stride=output_stride, out=out)
    print(f"{out}: {model.architecture.head} over {model.architecture.backbone}, heads {list(model.head_sizes)}")


def export_backbone(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder, such as data/checkpoints/step_0.")],
    out: Annotated[Path, typer.Option(help="The file to write, .safetensors; a .json beside it says how it was made.")],
    root: Root = Path(),
) -> None:
    """Write a checkpoint's backbone in half precision, so that model.weights can name it."""
    from ssul.cli.backbone_file import write_backbone  # late: it brings torch, which takes seconds

    layout = Layout(root)
    scores = Results.read(layout.evaluation(0)).rows[0]
    made = {"parameters": noted_params(layout, BASE_STAGES), "all": scores["all"]}
    print(f"{write_backbone(checkpoint, out, made)}: {out.stat().st_size / 1e6:.2f} MB")


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder, such as data/checkpoints/step_1.")],
    data_root: Annotated[Path, typer.Option(help="Where the dataset lies.")],
    data_set: Annotated[str, typer.Option(help="Its name: voc, ade, shapes, or an own one of conf/data.")] = "voc",
    crop: Annotated[
        int | None, typer.Option(help="Evaluate the papers' centre crop of this side, not the whole image.")
    ] = None,
    images: Annotated[
        Images, typer.Option(help="Which validation images are scored: all, or those that show a learned class.")
    ] = "all",
    future: Annotated[Future, typer.Option(help="What pixels of later classes count as.")] = "ignore",
    unknown: Annotated[
        Unknown, typer.Option(help="What the unknown becomes in a prediction; auto: background where there can be one.")
    ] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the arithmetic.")] = "32",
    shift: Annotated[
        float, typer.Option(help="Added to the logits of classes learned after step 0: are old ones outshouted?")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
    root: Root = Path(),
) -> None:
    """Score a checkpoint on the validation images of a dataset, as the pipeline does."""
    from ssul.cli.score_checkpoint import evaluate_checkpoint  # late: it brings torch, which takes seconds
    from ssul.evaluation.protocol import Protocol
    from ssul.inference.device import choose_device

    known = known_dataset(data_set, root, option="--data-set")
    if not data_root.is_dir():
        raise UserError(f"--data-root {data_root} is not a folder: name the one where {known.name} lies")
    if not checkpoint.is_dir():
        raise UserError(f"{checkpoint} is no checkpoint: name its folder, such as data/checkpoints/step_1")
    scores = evaluate_checkpoint(
        checkpoint,
        known,
        data_root,
        protocol=Protocol(choose_device(precision, named="--precision"), future, unknown, crop, images),
        watch=lambda evaluated, count: iter(tqdm(evaluated, total=count, desc="evaluate", unit="image")),
        shift=shift,
    )
    if as_json:
        print(json.dumps(asdict(scores)))
        return
    without = ("all_without_background",) if "background" in scores.iou else ()
    for name in ("old", "new", "all", "hiou", *without, "previous", "current", "pixel_accuracy"):
        print(f"{heading(name):24}{percent(getattr(scores, name), '-'):>6}")
    print()
    for name, iou in scores.iou.items():
        print(f"{name:24}{percent(iou, '-'):>6}")
