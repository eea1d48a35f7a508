"""What sets parameters apart from the choices in conf/, in words for the name of a run."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ssul.config.dotted import affects_results, leaves, value_at
from ssul.config.naming import SWITCHES
from ssul.config.paths import Layout

_MOST = 5  # parameters in a name
_ALIKE = 2  # parameters in which a recipe may differ from the file that names it; else it is the scenario's, changed
_NAMED = (  # by `RunName`, or by nothing
    *("seed", "setting", "scenario", "data.name", "method.name", "method.unknown", "method.loss", "method.selection"),
    *("method.published_bugs", "model.backbone", "evaluation.examples", "evaluation.crop"),
)
_OTHER = re.compile(r"\$\{([\w.]+)\}")  # the value of another parameter


def unusual(params: Mapping[str, Any], layout: Layout) -> str:
    """The parameters that differ from their choices in conf/: `crop=160, increment.lr=0.1`; empty if none does.

    Of many the first ones are written, and a digest of all, so that other values make another text.

    Args:
        params: all parameters, as params.yaml holds them.
        layout: of conf/; what is missing there makes nothing unusual.
    """
    found: dict[str, Any] = {}
    for group, choice in _choices(params, layout).items():
        if choice is None:
            continue
        usual = leaves({group: _read(choice)} if group else _read(choice))
        given = leaves({group: params[group]} if group else params)
        if group == "recipe" and choice != _usual_recipe(params, layout):
            found["recipe"] = choice.stem
        for name, value in usual.items():
            if name in given and not _same(given[name], _filled(value, params)) and not _is_named(name, params):
                found[name] = given[name]
    words = [f"{_short(name, params)}={_text(value)}" for name, value in found.items()]
    if len(words) <= _MOST:
        return ", ".join(words)
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:4]
    return f"{', '.join(words[:_MOST])} and {len(words) - _MOST} more ({digest})"


def _choices(params: Mapping[str, Any], layout: Layout) -> dict[str, Path | None]:
    """The file of each group, nearest to the parameters; the empty name is the file of the groups' list."""
    memory = "rehearsal" if params["memory"]["capacity"] else "none"
    names = {"data": params["data"]["name"], "model": params["model"]["backbone"], "memory": memory}
    names |= {"method": params["method"]["name"], "evaluation": "default"}
    files = {group: layout.composition.parent / group / f"{name}.yaml" for group, name in names.items()}
    found: dict[str, Path | None] = {group: file if file.is_file() else None for group, file in files.items()}
    usual = _usual_recipe(params, layout)
    recipes = sorted((layout.composition.parent / "recipe").glob("*.yaml"), key=lambda file: file != usual)
    given = leaves(params["recipe"])
    far = {file: _distance(leaves(_read(file)), given) for file in recipes}
    nearest = min(recipes, key=lambda file: far[file], default=None)
    found["recipe"] = usual if usual in far and nearest is not None and far[nearest] > _ALIKE else nearest
    return found | {"": layout.composition if layout.composition.is_file() else None}


def _usual_recipe(params: Mapping[str, Any], layout: Layout) -> Path:
    """The recipe that the scenario brings with it."""
    name = params["data"]["name"]
    scenario = layout.scenarios / f"{params['scenario']['name']}.yaml"
    for choice in _read(scenario).get("defaults", []) if scenario.is_file() else []:
        name = choice.get("override /recipe", name) if isinstance(choice, Mapping) else name
    return layout.composition.parent / "recipe" / f"{name}.yaml"


def _distance(usual: Mapping[str, Any], given: Mapping[str, Any]) -> int:
    return sum(name not in given or not _same(given[name], value) for name, value in usual.items())


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one: 1 and 1.0, and a precision of 32 and "32"."""
    return bool(one == other) or str(one) == str(other)


def _read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if path.parent.name == "scenario" or name != "defaults"}


def _filled(value: Any, params: Mapping[str, Any]) -> Any:
    other = _OTHER.fullmatch(value) if isinstance(value, str) else None
    return value if other is None else value_at(params, other[1])


def _is_named(name: str, params: Mapping[str, Any]) -> bool:
    switches = tuple(f"method.{params['method']['name']}.{switch}" for switch in SWITCHES)
    return name.startswith((*_NAMED, *switches)) or not affects_results(name)


def _short(name: str, params: Mapping[str, Any]) -> str:
    """The name without its group, as far as a reader needs none."""
    for group in (f"method.{params['method']['name']}.", "recipe.", "model.", "memory.", "evaluation.", "data."):
        name = name.removeprefix(group)
    return name


def _text(value: Any) -> str:
    return Path(value).name if isinstance(value, str) else json.dumps(value).strip('"')
