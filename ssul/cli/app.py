"""The console command `ssul`, for everything outside the pipeline."""

import importlib.metadata
import sys
from typing import Annotated

import typer

from ssul.cli.browse import browse
from ssul.cli.checkpoints import evaluate, export_backbone, import_checkpoint
from ssul.cli.compare import compare
from ssul.cli.convert import app as convert
from ssul.cli.doctor import doctor
from ssul.cli.evidence import app as evidence
from ssul.cli.export import export
from ssul.cli.new_method import new_method
from ssul.cli.offline_plots import offline_plots
from ssul.cli.parameters import parameters
from ssul.cli.predict import predict
from ssul.cli.results import show, table
from ssul.cli.scenarios import scenarios, splits
from ssul.cli.share import fetch, remote, share
from ssul.cli.ui import ui
from ssul.errors import UserError
from ssul.pipeline.failures import exit_explained
from ssul.tracking.store import TrackingError


def print_version(wanted: bool) -> None:
    """Prints the version, if it is wanted, and exits."""
    if wanted:
        print(f"ssul {importlib.metadata.version('ssul')}")
        raise typer.Exit


app = typer.Typer(
    help="Class-incremental semantic segmentation; the pipeline itself is run by `dvc repro`.", no_args_is_help=True
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options without a command."""


for command in (
    doctor,
    show,
    scenarios,
    splits,
    parameters,
    browse,
    predict,
    compare,
    export,
    import_checkpoint,
    export_backbone,
    evaluate,
    table,
    ui,
    offline_plots,
    remote,
    share,
    fetch,
    new_method,
):
    app.command()(command)
app.add_typer(convert, name="convert")
app.add_typer(evidence, name="evidence")


def main() -> None:
    """Runs the command; an error that the user can fix ends it with one line on stderr and code 1."""
    try:
        app()
    except (UserError, TrackingError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except (RuntimeError, OSError, MemoryError) as error:
        exit_explained(error)
