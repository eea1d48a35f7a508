"""The console command `ssul`: what is not a stage of the pipeline."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ssul.errors import UserError
from ssul.tracking import unsent
from ssul.tracking.store import TrackingError, how_to_open

app = typer.Typer(
    help="Class-incremental semantic segmentation; the pipeline itself is run by `dvc repro`.", no_args_is_help=True
)

Root = Annotated[Path, typer.Option(help="The project's folder.")]


class SettingName(StrEnum):
    """`ssul.scenario.scenario.Setting` for the command line."""

    OVERLAPPED = "overlapped"
    DISJOINT = "disjoint"
    PARTITIONED = "partitioned"


class FutureName(StrEnum):
    """`ssul.labels.space.Future` for the command line."""

    IGNORE = "ignore"
    BACKGROUND = "background"


@app.command()
def send() -> None:
    """Send the finished experiments to MLflow that it could not take when they ended."""
    waiting, stay = unsent.kept(), 0
    for place in waiting:
        try:
            print(f"sent: {unsent.send(place)}")
        except TrackingError as error:
            stay += 1
            print(f"not sent: {place}: {error}", file=sys.stderr)
    print(f"{len(waiting) - stay} sent; MLflow: {how_to_open()}" if waiting else "nothing waits to be sent")
    if stay:
        raise UserError(f"{stay} of {len(waiting)} could not be sent and are kept")


@app.command()
def fetch(
    run: Annotated[str, typer.Argument(help="The id of a run in MLflow.")],
    out: Annotated[Path, typer.Option(help="The folder to write its last checkpoint to.")],
) -> None:
    """Fetch the last checkpoint of a run from MLflow, for `ssul evaluate` or recipe.base.checkpoint."""
    from ssul.tracking.fetch import fetch_checkpoint  # late: it brings torch

    fetch_checkpoint(run, out)
    print(out)


def main() -> None:
    """Runs the command; what the user can mend ends it with one line on stderr and code 1."""
    try:
        app()
    except (UserError, TrackingError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
