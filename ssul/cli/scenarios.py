"""`ssul scenarios` and `ssul splits`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ssul.cli.conf_files import known_dataset, read_sections
from ssul.cli.masks import present_classes
from ssul.cli.options import Root, require_project
from ssul.config.paths import Layout
from ssul.errors import UserError
from ssul.scenario.order import ScenarioName, learning_order, make_scenario
from ssul.scenario.scenario import Setting
from ssul.scenario.splits import make_splits
from ssul.scenario.summary import summarise, text_summary, warning_of

EXTENSION = "extension"
"""The scenario whose base is a checkpoint."""


def scenarios(root: Root = Path()) -> None:
    """List the scenarios that `-S scenario=NAME` knows, with the number of classes of each step."""
    if not Layout(root).scenarios.is_dir():
        require_project(root)
    for path in sorted(Layout(root).scenarios.glob("*.yaml")):
        if path.stem == EXTENSION:
            print(
                f"{path.stem:16} the classes of a checkpoint, and those of a dataset that extends it (docs/extend.md)"
            )
            continue
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
    data_set = known_dataset(name.dataset, root)
    words = [] if order is None else [word.strip() for word in order.split(",")]
    asked = [int(word) if word.isdecimal() else word for word in words] or name.order
    cut = name.scenario(learning_order(asked, dataset=data_set.name, names=data_set.classes))
    present = present_classes(data_set, masks, lists, cache=Layout(root).cache / "masks.jsonl")
    made = make_splits(present, cut, setting, names=data_set.classes, seed=seed, known=data_set.known)
    summary = summarise(made, present, setting, known=data_set.known)
    if warning := warning_of(summary):
        print(f"warning: {warning}", file=sys.stderr)
    if as_json:
        steps = [{"step": split.step, "classes": split.new, "images": len(split.images)} for split in made]
        print(json.dumps({"scenario": scenario, "setting": setting, "steps": steps}))
        return
    print(f"{scenario}, {setting}: {len(present)} training images\n")
    print(text_summary(summary, cut.remainder))


def classes_of_steps(path: Path, root: Path) -> list[int]:
    """How many classes each step of a scenario file learns.

    Raises:
        UserError: if the file holds no valid scenario, or its dataset is unknown.
    """
    content = read_sections(path)
    data_set = known_dataset(chosen_data(content) or chosen_data(read_sections(Layout(root).composition)), root)
    try:
        asked = content["scenario"]
        order, base_classes, increment = asked["order"], int(asked["base_classes"]), int(asked["increment"])
    except (KeyError, TypeError, ValueError):
        raise UserError("scenario must hold order, base_classes and increment") from None
    scenario = make_scenario(order, base_classes, increment, dataset=data_set.name, names=data_set.classes)
    return [len(step.new) for step in scenario.steps]


def chosen_data(content: Mapping[str, Any]) -> str:
    """The file of conf/data that the defaults of a conf/ file choose; empty if they choose none."""
    defaults = content.get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        for group, choice in entry.items() if isinstance(entry, dict) else []:
            if str(group).removeprefix("override ").lstrip("/") == "data":
                return str(choice)
    return ""
