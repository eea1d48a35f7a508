"""`ssul scenarios` and `ssul splits`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from ssul.cli.conf_files import known_data_set, read_sections
from ssul.cli.options import Root
from ssul.config.paths import Layout
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.mask_source import MaskSource, training_ids
from ssul.datasets.scan import ImageProblem, raise_unusable, scan_masks
from ssul.datasets.scan_cache import ScanCache
from ssul.errors import UserError
from ssul.scenario.order import ScenarioName, learning_order, make_scenario
from ssul.scenario.scenario import Setting
from ssul.scenario.splits import make_splits
from ssul.scenario.summary import summarise, text_summary


def scenarios(root: Root = Path()) -> None:
    """List the scenarios that `-S scenario=NAME` knows, with the number of classes of each step."""
    for path in sorted(Layout(root).scenarios.glob("*.yaml")):
        try:
            sizes = classes_of_steps(path, root)
        except UserError as error:
            print(f"{path} is left out: {error}", file=sys.stderr)
        else:
            print(f"{path.stem:16} {' + '.join(map(str, sizes))}")


def splits(
    masks: Annotated[Path, typer.Option(help="The training masks: their folder, or a zip or tar archive of it.")],
    scenario: Annotated[str, typer.Option(help="Like voc_15-1, voc_15-1_b, ade_100-50; any base-increment will do.")],
    lists: Annotated[
        Path | None, typer.Option(help="The folder of the image lists, where the dataset has any.")
    ] = None,
    setting: Annotated[Setting, typer.Option(help="Which images belong to a step.")] = "overlapped",
    order: Annotated[
        str | None, typer.Option(help="All classes in learning order, by id or name, with commas.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the partitioned setting's assignment.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
    root: Root = Path(),
) -> None:
    """Print which classes and how many training images each step of a scenario has, from the masks alone."""
    name = ScenarioName.parse(scenario)
    data_set = known_data_set(name.dataset, root)
    words = [] if order is None else [word.strip() for word in order.split(",")]
    asked = [int(word) if word.isdecimal() else word for word in words] or name.order
    cut = name.scenario(learning_order(asked, dataset=data_set.name, names=data_set.classes))
    present = present_classes(data_set, masks, lists, ScanCache(Layout(root).cache / "masks.jsonl"))
    made = make_splits(present, cut, setting, names=data_set.classes, seed=seed)
    if as_json:
        steps = [{"step": split.step, "classes": split.new, "images": len(split.images)} for split in made]
        print(json.dumps({"scenario": scenario, "setting": setting, "steps": steps}))
        return
    print(f"{scenario}, {setting}: {len(present)} training images\n")
    print(text_summary(summarise(made, present, setting)))
    if cut.remainder:
        print(f"\n{cut.remainder}")


def classes_of_steps(path: Path, root: Path) -> list[int]:
    """How many classes each step of a scenario file learns.

    Raises:
        UserError: if it says no scenario, or one of a dataset that is not known.
    """
    content = read_sections(path)
    data_set = known_data_set(chosen_data(content) or chosen_data(read_sections(Layout(root).composition)), root)
    try:
        asked = content["scenario"]
        order, base_classes, increment = asked["order"], int(asked["base_classes"]), int(asked["increment"])
    except (KeyError, TypeError, ValueError):
        raise UserError("scenario must hold order, base_classes and increment") from None
    scenario = make_scenario(order, base_classes, increment, dataset=data_set.name, names=data_set.classes)
    return [len(step.new) for step in scenario.steps]


def chosen_data(content: Mapping[str, Any]) -> str:
    """Which file of conf/data the defaults of a conf/ file choose; empty if they choose none."""
    defaults = content.get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        for group, choice in entry.items() if isinstance(entry, dict) else []:
            if str(group).removeprefix("override ").lstrip("/") == "data":
                return str(choice)
    return ""


def present_classes(
    data_set: DatasetSpec, masks: Path, lists: Path | None, cache: ScanCache
) -> dict[str, tuple[int, ...]]:
    """Training image id -> ids of the classes that its mask shows, looked up where a mask was seen before.

    Raises:
        UserError: naming the masks that cannot be used.
    """
    store = MaskSource.open(masks, data_set.train.mask)
    ids = training_ids(store, lists, data_set)
    found = scan_masks(
        store.contents(ids),
        classes=len(data_set.classes),
        values=data_set.values,
        cache=cache,
    )
    looked = list(tqdm(found, total=len(ids), desc="look at masks", unit="mask", disable=not sys.stderr.isatty()))
    faults = [one for one in looked if isinstance(one, ImageProblem)]
    if faults:
        raise_unusable(
            faults, of=len(ids), where=masks, way_out="Mend these masks, or take their ids out of the image list"
        )
    return {one[0]: one[1].present for one in looked if not isinstance(one, ImageProblem)}
