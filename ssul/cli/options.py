"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from ssul.config.paths import Layout
from ssul.errors import UserError

Root = Annotated[Path, typer.Option(help="The project's folder.")]


def require_project(root: Path) -> None:
    """Refuses a command outside a project.

    Raises:
        UserError: naming the folder, if it has no dvc.yaml.
    """
    if not Layout(root).pipeline.is_file():
        raise UserError(
            f"{root.resolve()} is no ssul project, because it has no dvc.yaml: go to the project's folder, or name it "
            "with --root FOLDER"
        )
