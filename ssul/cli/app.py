"""The console command `ssul`, for everything outside the pipeline."""

import sys

import typer

from ssul.cli.checkpoints import evaluate, export_backbone, import_checkpoint
from ssul.cli.evidence import app as evidence
from ssul.cli.new_method import new_method
from ssul.cli.results import show, table
from ssul.cli.scenarios import scenarios, splits
from ssul.cli.ui import ui
from ssul.errors import UserError
from ssul.tracking.store import TrackingError

app = typer.Typer(
    help="Class-incremental semantic segmentation; the pipeline itself is run by `dvc repro`.", no_args_is_help=True
)
for command in (show, scenarios, splits, import_checkpoint, export_backbone, evaluate, table, ui, new_method):
    app.command()(command)
app.add_typer(evidence, name="evidence")


def main() -> None:
    """Runs the command; an error that the user can fix ends it with one line on stderr and code 1."""
    try:
        app()
    except (UserError, TrackingError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
