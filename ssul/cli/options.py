"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[Path, typer.Option(help="The project's folder.")]
