"""The templates, styles and scripts of html/, from which the pages for a browser are made."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent / "html"


def page_template(name: str) -> Any:
    """A template; what it is given is text, unless it is marked as HTML."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def page_asset(*names: str) -> Markup:
    """Styles or scripts, one after the other."""
    return Markup("".join((_FOLDER / name).read_text(encoding="utf-8") for name in names))


def within_script(data: Any) -> Markup:
    """JSON that ends no script element, whatever the names in it."""
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))
