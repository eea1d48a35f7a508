"""`ssul show` and `ssul table`."""

from pathlib import Path
from typing import Annotated

import typer

from ssul.cli.options import Root
from ssul.config.dotted import affects_results
from ssul.config.paths import Layout
from ssul.errors import UserError
from ssul.io.strict_json import check_consistent, read_json
from ssul.report.literature import RunResult, collect
from ssul.report.rows import SHOWN
from ssul.report.tables import text_table
from ssul.scenario.scenario import Setting
from ssul.tracking.collect import finished_runs
from ssul.tracking.store import how_to_open


def show(root: Root = Path()) -> None:
    """Print the per-step table of the last run, where its report is, and how to open MLflow."""
    layout = Layout(root)
    what = {"what": "the table of the last run,", "way_out": "run `dvc repro` first"}
    rows = read_json(layout.miou_per_step, list[dict[str, float | list[str] | None]], **what)
    lacking = not rows or any(not {"step", "learned", *SHOWN} <= row.keys() for row in rows)
    check_consistent(layout.miou_per_step, {"it is not a table of scores": lacking}, **what)
    print(f"mean IoU and forgetting in percent\n\n{text_table(rows)}\n")
    print(f"report: {layout.page}\nMLflow: {how_to_open()}")


def table(
    scenario: Annotated[list[str] | None, typer.Option(help="Only these scenarios, like voc_15-1; repeat it.")] = None,
    setting: Annotated[Setting | None, typer.Option(help="Only this setting.")] = None,
    root: Root = Path(),
) -> None:
    """Put all runs in MLflow into one table of methods and scenarios: reports/results.md and results.png."""
    from ssul.report.literature_page import write_results  # late: it imports matplotlib

    found = (RunResult.of(run.tags, run.params, run.scores) for run in finished_runs())
    results = [
        result
        for result in found
        if result is not None
        and (not scenario or result.run_name.scenario in scenario)
        and setting in (None, result.run_name.setting)
    ]
    rows = collect(results, affects_results=affects_results)
    if not rows:
        raise UserError("MLflow holds no finished run of this kind: `dvc exp run` makes one, `make ui` shows them")
    layout = Layout(root)
    print(f"{write_results(layout, rows)}\n\n{layout.results}, {layout.results_figure}")
