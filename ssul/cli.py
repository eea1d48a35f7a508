"""The console command `ssul`: what is not a stage of the pipeline."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from tqdm import tqdm

from ssul.atomic import write_text
from ssul.catalog import CATALOG, DataSet
from ssul.class_orders import published_orders
from ssul.config import parse_described
from ssul.data.examine import Fault, Memo, examine_masks, refuse
from ssul.data.masks import MaskStore, training_ids
from ssul.data.source import data_set_of
from ssul.data.splits import make_splits, summarise, text_summary
from ssul.errors import UserError
from ssul.paths import Layout
from ssul.report.subject import Subject
from ssul.report.tables import SHOWN, percent, text_table
from ssul.scenario import Scenario, ScenarioName, Setting, learning_order
from ssul.stored import read_json, refuse_damaged
from ssul.tracking import unsent
from ssul.tracking.collect import LoggedRun, finished_runs
from ssul.tracking.experiment import decides
from ssul.tracking.store import TrackingError, how_to_open

app = typer.Typer(
    help="Class-incremental semantic segmentation; the pipeline itself is run by `dvc repro`.", no_args_is_help=True
)

Root = Annotated[Path, typer.Option(help="The project's folder.")]


class SettingName(StrEnum):
    """`ssul.scenario.Setting` for the command line."""

    OVERLAPPED = "overlapped"
    DISJOINT = "disjoint"
    PARTITIONED = "partitioned"


class FutureName(StrEnum):
    """`ssul.labels.Future` for the command line."""

    IGNORE = "ignore"
    BACKGROUND = "background"


@app.command()
def show(root: Root = Path()) -> None:
    """Print the per-step table of the last run, where its report is, and how to open MLflow."""
    layout = Layout(root)
    what = {"what": "the table of the last run,", "way_out": "run `dvc repro` first"}
    rows = read_json(layout.miou_per_step, list[dict[str, float | str | None]], **what)
    lacking = not rows or any(not {"step", "learned", *SHOWN} <= row.keys() for row in rows)
    refuse_damaged(layout.miou_per_step, {"it is no table of scores": lacking}, **what)
    print(f"mean IoU and forgetting in percent\n\n{text_table(rows)}\n")
    print(f"report: {layout.page}\nMLflow: {how_to_open()}")


@app.command()
def scenarios(root: Root = Path()) -> None:
    """List the scenarios that `-S scenario=NAME` knows, with the number of classes of each step."""
    for path in sorted(Layout(root).scenarios.glob("*.yaml")):
        try:
            sizes = classes_of_steps(path, root)
        except UserError as error:
            print(f"{path} is left out: {error}", file=sys.stderr)
        else:
            print(f"{path.stem:16} {' + '.join(map(str, sizes))}")


@app.command()
def splits(
    masks: Annotated[Path, typer.Option(help="The training masks: their folder, or a zip or tar archive of it.")],
    scenario: Annotated[str, typer.Option(help="Like voc_15-1, voc_15-1_b, ade_100-50; any base-increment will do.")],
    lists: Annotated[
        Path | None, typer.Option(help="The folder of the image lists, where the data set has any.")
    ] = None,
    setting: Annotated[SettingName, typer.Option(help="Which images belong to a step.")] = SettingName.OVERLAPPED,
    order: Annotated[
        str | None, typer.Option(help="All classes in learning order, by id or name, with commas.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the partitioned setting's assignment.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
    root: Root = Path(),
) -> None:
    """Print which classes and how many training images each step of a scenario has, from the masks alone."""
    name = ScenarioName.parse(scenario)
    data_set = known_data_set(name.data_set, root)
    words = [] if order is None else [word.strip() for word in order.split(",")]
    asked = [int(word) if word.isdecimal() else word for word in words] or name.order
    cut = name.scenario(learning_order(asked, names=data_set.classes, published=published_orders(data_set.name)))
    kind: Setting = setting.value
    present = present_classes(data_set, masks, lists, Memo(Layout(root).cache / "masks.jsonl"))
    made = make_splits(present, cut, kind, names=data_set.classes, seed=seed)
    if as_json:
        steps = [{"step": split.step, "classes": split.new, "images": len(split.images)} for split in made]
        print(json.dumps({"scenario": scenario, "setting": setting, "steps": steps}))
        return
    print(f"{scenario}, {setting}: {len(present)} training images\n")
    print(text_summary(summarise(made, present, kind)))
    if cut.remainder:
        print(f"\n{cut.remainder}")


@app.command("import-checkpoint")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A checkpoint of SSUL's published code (.pth).")],
    scenario: Annotated[str, typer.Option(help="What it learned, like voc_15-1.")],
    step: Annotated[int, typer.Option(help="After which step, from 0.")],
    out: Annotated[Path, typer.Option(help="The folder to write our checkpoint to.")],
    output_stride: Annotated[int, typer.Option(help="Of the network: 8 or 16; the file does not tell.")] = 16,
    root: Root = Path(),
) -> None:
    """Turn a checkpoint of the published code into ours; every tensor is used once, or the file is refused."""
    from ssul.published import import_file  # late: it brings torch, which takes seconds

    name = ScenarioName.parse(scenario)
    data_set = known_data_set(name.data_set, root)
    order = learning_order(name.order, names=data_set.classes, published=published_orders(data_set.name))
    steps = name.scenario(order).steps
    if not 0 <= step < len(steps):
        raise UserError(f"--step is {step}, but {scenario} has the steps 0..{len(steps) - 1}")
    if output_stride not in (8, 16):
        raise UserError(f"--output-stride is {output_stride}: choose 8 or 16")
    groups = tuple(past.new for past in steps[: step + 1])
    model = import_file(file, groups, data_set.classes, output_stride=output_stride, out=out)
    print(f"{out}: {model.architecture.head} over {model.architecture.trunk}, heads {list(model.head_sizes)}")


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder, such as data/checkpoints/step_1.")],
    data_root: Annotated[Path, typer.Option(help="Where the data set lies.")],
    data_set: Annotated[str, typer.Option(help="Its name: voc, ade, shapes, or an own one of conf/data.")] = "voc",
    crop: Annotated[int | None, typer.Option(help="Judge the papers' centre crop of this side, not all.")] = None,
    future: Annotated[FutureName, typer.Option(help="What pixels of later classes count as.")] = FutureName.IGNORE,
    precision: Annotated[str, typer.Option(help="32 or bf16.")] = "32",
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
    root: Root = Path(),
) -> None:
    """Score a checkpoint on the validation images of a data set, as the pipeline does."""
    from ssul.evaluation.checkpoint import evaluate_checkpoint  # late: it brings torch, which takes seconds
    from ssul.training.device import choose_device

    scores = evaluate_checkpoint(
        checkpoint,
        known_data_set(data_set, root),
        data_root,
        fabric=choose_device(precision),
        future=future.value,
        crop=crop,
        watch=lambda judged, count: iter(tqdm(judged, total=count, desc="evaluate", unit="image")),
    )
    if as_json:
        print(json.dumps(asdict(scores)))
        return
    for name in ("old", "new", "all", "all_without_background", "previous", "current", "pixel_accuracy"):
        print(f"{name:24}{percent(getattr(scores, name), '-'):>6}")
    print()
    for name, iou in scores.iou.items():
        print(f"{name:24}{percent(iou, '-'):>6}")


@app.command()
def table(
    scenario: Annotated[list[str] | None, typer.Option(help="Only these scenarios, like voc_15-1; repeat it.")] = None,
    setting: Annotated[SettingName | None, typer.Option(help="Only this setting.")] = None,
    root: Root = Path(),
) -> None:
    """Put all runs in MLflow into one table of methods and scenarios: reports/results.md and results.png."""
    from ssul.report.results_table import Outcome, collect, draw_results, markdown_results  # late: matplotlib

    def wanted(run: LoggedRun) -> bool:
        known = all(key in run.tags for key in ("scenario", "setting", "method", "model"))
        return (
            known
            and run.tags["scenario"] in (scenario or [run.tags["scenario"]])
            and (setting is None or run.tags["setting"] == setting)
        )

    outcomes = [
        Outcome(
            Subject(*(run.tags[key] for key in ("scenario", "setting", "method", "model"))),
            run.params.get("seed", "0"),
            {**run.params, "data.digest": run.tags.get("data.digest", "")},
            {name: run.scores[f"miou_{name}"] for name in ("old", "new", "all") if f"miou_{name}" in run.scores},
        )
        for run in finished_runs()
        if wanted(run)
    ]
    rows = collect(outcomes, decides=decides)
    if not rows:
        raise UserError("MLflow holds no finished run of this kind: `dvc exp run` makes one, `make ui` shows them")
    layout = Layout(root)
    draw_results(layout.results_figure, rows)
    text = markdown_results(rows)
    runs = sum(cell.runs for row in rows for cell in row.cells.values())
    told = (
        "Mean IoU in percent after the last step, old / new / all; mean ± standard deviation over seeds, "
        f"from {runs} runs in MLflow."
    )
    figure = f"![mean IoU of all classes]({layout.results_figure.name})"
    write_text(layout.results, f"# Results\n\n{told}\n\n{text}\n\n{figure}\n")
    print(f"{text}\n\n{layout.results}, {layout.results_figure}")


@app.command()
def send() -> None:
    """Send the finished experiments to MLflow that it could not take when they ended."""
    waiting, stay = unsent.kept(), 0
    for place in waiting:
        try:
            print(f"sent: {unsent.send(place)}")
        except TrackingError as error:
            stay += 1
            print(f"not sent: {place}: {error}", file=sys.stderr)
    print(f"{len(waiting) - stay} sent; MLflow: {how_to_open()}" if waiting else "nothing waits to be sent")
    if stay:
        raise UserError(f"{stay} of {len(waiting)} could not be sent and are kept")


@app.command()
def fetch(
    run: Annotated[str, typer.Argument(help="The id of a run in MLflow.")],
    out: Annotated[Path, typer.Option(help="The folder to write its last checkpoint to.")],
) -> None:
    """Fetch the last checkpoint of a run from MLflow, for `ssul evaluate` or recipe.base.checkpoint."""
    from ssul.tracking.fetch import fetch_checkpoint  # late: it brings torch

    fetch_checkpoint(run, out)
    print(out)


def known_data_set(name: str, root: Path) -> DataSet:
    """A data set of the catalog, or an own one that conf/data describes.

    Raises:
        UserError: if it is neither, or its description is not valid.
    """
    path = Layout(root).data_sets / f"{name}.yaml"
    if name in CATALOG or not path.is_file():
        return data_set_of(name, None)
    return data_set_of(name, parse_described(read_sections(path).get("described")))


def classes_of_steps(path: Path, root: Path) -> list[int]:
    """How many classes each step of a scenario file learns.

    Raises:
        UserError: if it says no scenario, or one of a data set that is not known.
    """
    content = read_sections(path)
    data_set = known_data_set(chosen_data(content) or chosen_data(read_sections(Layout(root).composition)), root)
    try:
        asked = content["scenario"]
        order, base_classes, increment = asked["order"], int(asked["base_classes"]), int(asked["increment"])
    except (KeyError, TypeError, ValueError):
        raise UserError("scenario must hold order, base_classes and increment") from None
    learned = learning_order(order, names=data_set.classes, published=published_orders(data_set.name))
    return [len(step.new) for step in Scenario(learned, base_classes, increment).steps]


def chosen_data(content: Mapping[str, Any]) -> str:
    """Which file of conf/data the defaults of a conf/ file choose; empty if they choose none."""
    defaults = content.get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        for group, choice in entry.items() if isinstance(entry, dict) else []:
            if str(group).removeprefix("override ").lstrip("/") == "data":
                return str(choice)
    return ""


def read_sections(path: Path) -> dict[str, Any]:
    """The content of a file of conf/; empty if it holds no sections.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    return content if isinstance(content, dict) else {}


def present_classes(data_set: DataSet, masks: Path, lists: Path | None, memo: Memo) -> dict[str, tuple[int, ...]]:
    """Training image id -> ids of the classes that its mask shows, looked up where a mask was seen before.

    Raises:
        UserError: naming the masks that cannot be used.
    """
    store = MaskStore.open(masks, data_set.train.mask)
    ids = training_ids(store, lists, data_set)
    found = examine_masks(
        store.contents(ids),
        classes=len(data_set.classes),
        values=data_set.values,
        memo=memo,
    )
    looked = list(tqdm(found, total=len(ids), desc="look at masks", unit="mask", disable=not sys.stderr.isatty()))
    faults = [one for one in looked if isinstance(one, Fault)]
    if faults:
        refuse(faults, of=len(ids), where=masks, way_out="Mend these masks, or take their ids out of the image list")
    return {one[0]: one[1].present for one in looked if not isinstance(one, Fault)}


def main() -> None:
    """Runs the command; what the user can mend ends it with one line on stderr and code 1."""
    try:
        app()
    except (UserError, TrackingError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
