"""The parameters that made an output are noted beside it, and the stages after it refuse others.

The note is an output of its own, on which no other stage depends: so a parameter that changes nothing in an output
makes no later stage run again.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ssul.config.dotted import affects_results, differences, leaves, value_at
from ssul.config.paths import LAYOUT, Layout
from ssul.config.stages import Stage
from ssul.errors import UserError
from ssul.io.atomic import write_json
from ssul.io.strict_json import read_json

_WHAT = "the note of parameters"


def listed_params(stage: Stage, params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the parameters that dvc.yaml lists for a stage, by dotted name."""
    return leaves({name: value_at(params, name) for name in stage.params})


def note(stage: Stage, listed: Mapping[str, Any]) -> None:
    """Notes the parameters that made the outputs of a stage."""
    write_json(LAYOUT.made_with(stage.name), _noted(listed))


def noted_params(layout: Layout, stages: Iterable[str]) -> dict[str, Any]:
    """The parameters that made the outputs of some stages, by dotted name.

    Raises:
        UserError: if a stage has no note.
    """
    found: dict[str, Any] = {}
    for name in stages:
        found |= read_json(layout.made_with(name), dict[str, Any], what=_WHAT, way_out=_make_anew(name))
    return found


def require_made_with(stage: Stage, params: Mapping[str, Any]) -> None:
    """Checks that the outputs of a stage were made with these parameters, if it is known what made them.

    Raises:
        UserError: naming an output, a parameter, both values and the ways out.
    """
    path = LAYOUT.made_with(stage.name)
    if not path.is_file():  # of an earlier version, or the output was brought here without it
        return
    way_out = _make_anew(stage.name)
    noted = read_json(path, dict[str, Any], what=_WHAT, way_out=way_out)
    present = _noted(listed_params(stage, params))
    for name in differences(noted, present)[:1]:
        raise UserError(
            f"{stage.outs[0]} was made with {name}={_text(noted, name)}, but params.yaml has {_text(present, name)}: "
            "make it anew with `dvc repro`, or bring back what these parameters made with `dvc checkout`; if dvc finds "
            f"nothing to do, {way_out}"
        )


def _make_anew(stage: str) -> str:
    return f"run `dvc repro --force --single-item {stage}`"


def _noted(listed: Mapping[str, Any]) -> dict[str, Any]:
    """Without places, because data may be moved."""
    return {name: value for name, value in listed.items() if affects_results(name)}


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name, "nothing there")
    return value if isinstance(value, str) else json.dumps(value)
