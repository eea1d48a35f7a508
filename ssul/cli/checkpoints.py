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
from ssul.datasets.catalog import DatasetSpec
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
    file: Annotated[Path, typer.Argument(help="The weights: .pth, .ckpt or .safetensors.")],
    out: Annotated[Path, typer.Option(help="The folder to write our checkpoint to.")],
    source: Annotated[
        Literal["published", "torchvision", "smp"],
        typer.Option("--from", help="SSUL's published code, torchvision, or segmentation_models.pytorch."),
    ] = "published",
    scenario: Annotated[str | None, typer.Option(help="published: what it learned, like voc_15-1.")] = None,
    step: Annotated[int | None, typer.Option(help="published: after which step, from 0.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="torchvision, smp: a,b,c or a file with one a line; for 21 channels VOC's by default."),
    ] = None,
    output_stride: Annotated[
        int | None, typer.Option(help="8 or 16; the file does not hold it. published: 16 by default; torchvision: 8.")
    ] = None,
    root: Root = Path(),
) -> None:
    """Turn a foreign network into a checkpoint of ours; every tensor is used once, or the file is refused."""
    from ssul.cli import import_file as importing  # late: it brings torch, which takes seconds

    if output_stride not in (None, 8, 16):
        raise UserError(f"--output-stride is {output_stride}: choose 8 or 16")
    dropped: list[str] = []
    if source == "published":
        if scenario is None or step is None or classes is not None:
            raise UserError("--from published needs --scenario and --step, and takes no --classes")
        groups, data_set = _learned_groups(scenario, step, root)
        model = importing.import_file(file, groups, data_set.classes, output_stride=output_stride or 16, out=out)
    else:
        if scenario is not None or step is not None:
            raise UserError(f"--from {source} takes --classes in place of --scenario and --step")
        if source == "torchvision" and output_stride == 16:
            raise UserError("--output-stride is 16, but torchvision's networks have 8: leave it out")
        if source == "smp" and output_stride is None:
            raise UserError("--from smp needs --output-stride (encoder_output_stride; by default 8 in V3, 16 in V3+)")
        names = importing.read_class_names(classes)
        model, dropped = importing.import_softmax_network(
            file, source, names, output_stride=output_stride or 8, out=out
        )
    print(f"{out}: {model.architecture.head} over {model.architecture.backbone}, heads {list(model.head_sizes)}")
    if dropped:
        part = dropped[0].partition(".")[0]
        print(f"left out: {len(dropped)} tensors of {part}, which takes no part in a prediction")


def _learned_groups(scenario: str, step: int, root: Path) -> tuple[tuple[tuple[int, ...], ...], DatasetSpec]:
    """The classes that each step of a scenario up to one learned, and its dataset."""
    name = ScenarioName.parse(scenario)
    data_set = known_dataset(name.dataset, root)
    order = learning_order(name.order, dataset=data_set.name, names=data_set.classes)
    steps = name.scenario(order).steps
    if not 0 <= step < len(steps):
        raise UserError(f"--step is {step}, but {scenario} has the steps 0..{len(steps) - 1}")
    return tuple(past.new for past in steps[: step + 1]), data_set


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
