"""The console command `ssul`: what is not a stage of the pipeline."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from ssul import catalog, tracking
from ssul.errors import UserError
from ssul.paths import Layout
from ssul.report.tables import text_table
from ssul.scenario import Scenario

app = typer.Typer(
    help="Class-incremental semantic segmentation; the pipeline itself is run by `dvc repro`.", no_args_is_help=True
)

Root = Annotated[Path, typer.Option(help="The project's folder.")]


@app.command()
def show(root: Root = Path()) -> None:
    """Print the per-step table of the last run, where its report is, and how to open MLflow."""
    layout = Layout(root)
    try:
        rows = json.loads(layout.miou_per_step.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{layout.miou_per_step} is missing: run `dvc repro` first") from None
    print(f"mean IoU and forgetting in percent\n\n{text_table(rows)}\n")
    print(f"report: {layout.page}\nMLflow: {tracking.how_to_open()}")


@app.command()
def scenarios(root: Root = Path()) -> None:
    """List the scenarios that `-S scenario=NAME` knows, with the number of classes of each step."""
    for path in sorted(Layout(root).scenarios.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        settings = content["scenario"]
        data_set = catalog.data_set({k: v for entry in content["defaults"] for k, v in entry.items()}["override /data"])
        order = catalog.learning_order(data_set, settings["order"])
        steps = Scenario(order, settings["base_classes"], settings["increment"]).steps
        print(f"{settings['name']:16} {' + '.join(str(len(step.new)) for step in steps)}")


def main() -> None:
    """Runs the command; a UserError ends it with one line on stderr and code 1."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
