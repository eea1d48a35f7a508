"""`ssul new-method`: the files of a method of one's own."""

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from ssul.cli.options import Root, require_project
from ssul.config.method import registered_methods
from ssul.config.paths import Layout
from ssul.errors import UserError
from ssul.io.atomic import write_text

_TEMPLATES = Path(__file__).parent / "method_template"


def new_method(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _; it names the folder and the parameters.")],
    root: Root = Path(),
) -> None:
    """Write a method that runs, to make yours from: cross-entropy, and a distance to the previous network."""
    require_project(root)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"'{name}' is no name for a method: choose small letters, digits and _, such as my_method")
    if name in registered_methods():
        raise UserError(f"there is a method {name}: choose another name than {', '.join(registered_methods())}")
    files = Layout(root).method_files(name)
    if taken := [path for path in files.values() if path.exists()]:
        raise UserError(f"{taken[0]} exists: choose another name, or remove it")
    words = {"name": name, "title": "".join(part.capitalize() for part in name.split("_"))}
    for template, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (_TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
        write_text(path, Template(text).substitute(words))
        print(path)
    print(
        f"change {files['increment.py']}; try `python -m pytest tests/methods -k {name}` and "
        f"`dvc exp run -S method={name}`; docs/your_method.md explains what else a method can do"
    )
