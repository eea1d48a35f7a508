"""`ssul show` and `ssul table`."""

import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from ssul.cli.counted_run import counted_run
from ssul.cli.options import Root, require_project
from ssul.config.dotted import affects_results
from ssul.config.paths import Layout
from ssul.errors import UserError
from ssul.io.strict_json import check_consistent, read_json
from ssul.report.evidence import Evidence, comparison
from ssul.report.literature import RunResult, collect
from ssul.report.paired import row_differences
from ssul.report.reported_run import ReportedRun
from ssul.report.rows import SHOWN
from ssul.report.tables import run_table
from ssul.scenario.scenario import Setting
from ssul.tracking.collect import LoggedRun, finished_runs
from ssul.tracking.store import how_to_open


def show(root: Root = Path()) -> None:
    """Print the name and the per-step table of the last run, where its report is, and how to open MLflow."""
    layout = Layout(root)
    if not layout.reported_run.exists():
        require_project(root)
    what = {"what": "the table of the last run,", "way_out": "run `dvc repro` first"}
    run = read_json(layout.reported_run, ReportedRun, **what | {"what": "the name of the last run,"})
    rows = read_json(layout.miou_per_step, list[dict[str, int | float | list[str] | None]], **what)
    lacking = not rows or any(not {"step", "learned", *SHOWN} <= row.keys() for row in rows)
    check_consistent(layout.miou_per_step, {"it is not a table of scores": lacking}, **what)
    print(run_table(run.name, rows))
    if line := comparison(Evidence.read(layout.evidence), run.setup):
        print(f"{line}\n")
    print(f"report: {layout.page}\nMLflow: {how_to_open()}")


def table(
    scenario: Annotated[list[str] | None, typer.Option(help="Only these scenarios, like voc_15-1; repeat it.")] = None,
    setting: Annotated[Setting | None, typer.Option(help="Only this setting.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only runs with this parameter, NAME=VALUE, as MLflow shows it; repeat it.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Also the differences to this line, paired by seed; its name as in the table.")
    ] = None,
    root: Root = Path(),
) -> None:
    """Put all runs in MLflow into one table of methods and scenarios: reports/results.md and results.png."""
    from ssul.report.literature_page import write_results  # late: it imports matplotlib

    runs = _chosen(finished_runs(), where or ())
    found = (RunResult.of(run.tags, run.params, run.scores, run.id) for run in runs.values())
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
    differences = row_differences(rows, against, cache(lambda run: counted_run(runs[run]))) if against else []
    layout = Layout(root)
    print(f"{write_results(layout, rows, differences)}\n\n{layout.results}, {layout.results_figure}")
    if against and not differences:
        print(f"nothing to compare with {against}: no other line has its scenario, setting, network and a seed")


def _chosen(runs: Sequence[LoggedRun], conditions: Sequence[str]) -> dict[str, LoggedRun]:
    """The runs with all parameters of a list of NAME=VALUE, by id; a run that lacks a name does not have its value."""
    wanted, names = [], {name for run in runs for name in run.params}
    for condition in conditions:
        name, sign, value = condition.partition("=")
        if not sign:
            raise UserError(f"--where is '{condition}': give NAME=VALUE, like recipe.crop=513")
        if names and name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            guess = f": did you mean {near[0]}?" if near else ""
            raise UserError(f"--where names {name}, which no run has{guess}")
        wanted.append((name, value))
    return {run.id: run for run in runs if all(run.params.get(name) == value for name, value in wanted)}
