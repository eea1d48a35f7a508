"""`ssul parameters`: what every parameter may be and what it decides."""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ssul.cli.composed import composed
from ssul.cli.options import Root, require_project
from ssul.config.dotted import value_at
from ssul.config.reference import Parameter
from ssul.config.reference import parameters as known_parameters
from ssul.errors import UserError
from ssul.report.markdown import markdown, markdown_table, paragraphs

PUBLISHED = "voc_15-1"
"""The scenario whose values the page shows beside the default run's: its recipe is the published one."""
_NO_DEFAULT = ("data.custom.", "scenario.steps", "scenario.last")


def parameters(
    names: Annotated[list[str] | None, typer.Argument(help="Parts of names, such as memory or lr; none: all.")] = None,
    as_page: Annotated[bool, typer.Option("--markdown", help="Print the page docs/parameters.md.")] = False,
    root: Root = Path(),
) -> None:
    """Print what parameters may be and what they decide; `-S NAME=VALUE` sets them."""
    require_project(root)
    if as_page:
        print(page(root))
        return
    found = [one for one in known_parameters() if all(word in one.name for word in names or ())]
    if not found:
        raise UserError(f"no parameter has {' and '.join(names or ())} in its name: `ssul parameters` lists all")
    width = min(shutil.get_terminal_size().columns, 120)
    for one in found:
        value = default(one, root)
        print(f"{one.name}: {one.values}{f'; default {value}' if value else ''}")
        print(textwrap.fill(one.text, width, initial_indent="    ", subsequent_indent="    "))


def page(root: Path) -> str:
    """docs/parameters.md."""
    sections = [
        paragraphs(f"## {title}", _table(list(group), root))
        for title, group in groupby(known_parameters(), key=_section)
    ]
    return paragraphs("# Parameters", _HEAD, *sections)


_HEAD = f"""\
Made by `ssul parameters --markdown` from the schema, which refuses everything else. `ssul parameters WORD` prints
those whose name holds a word. `dvc exp run -S NAME=VALUE` sets one; `-S method=mib` and the like bring whole groups.
*default* is the default run's value (`shapes_6-2`, or of a method's own section that of `conf/method/`), *{PUBLISHED}*
that of the published recipe on photographs; empty where it is the same."""


def _section(one: Parameter) -> str:
    group = one.name.partition(".")[0] if "." in one.name else "The run"
    return f"method.{one.method}" if one.method else group


def _table(group: Sequence[Parameter], root: Path) -> str:
    body = []
    for one in group:
        value, published = default(one, root), default(one, root, f"scenario={PUBLISHED}")
        cells = [markdown(one.values), _code(value), _code(published) if published != value else "", one.text]
        body.append([f"`{one.name}`", *cells])
    return markdown_table(["parameter", "values", "default", PUBLISHED, "what it decides"], body, align="lllll")


def default(one: Parameter, root: Path, *overrides: str) -> str:
    """The value of a parameter in an experiment, as YAML; empty where there is none."""
    method = [f"method={one.method}"] if one.method else ["method=mib"] if one.name == "method.fusion" else []
    if one.name.startswith(_NO_DEFAULT):
        return ""
    value = value_at(_composed(root, *overrides, *method), one.name)
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()


@cache
def _composed(root: Path, *overrides: str) -> Mapping[str, Any]:
    return composed(root, *overrides)


def _code(value: str) -> str:
    return f"`{value}`" if value else ""
