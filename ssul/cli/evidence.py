"""`ssul evidence`: the experiments of docs/evidence.yaml, and their tables in docs/evidence.md."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from ssul.cli.composed import composed
from ssul.cli.counted_run import counted_run
from ssul.cli.options import Root, require_project
from ssul.config.dotted import affects_results
from ssul.config.load import parse_params
from ssul.config.paths import Layout
from ssul.environment import expanded
from ssul.errors import UserError
from ssul.report.evidence import (
    MEANS,
    Evidence,
    EvidenceSpec,
    PairedResult,
    Planned,
    Result,
    pairs_to_compare,
    planned,
    read_spec,
)
from ssul.report.evidence_page import update_pages
from ssul.report.paired import CountedRun, paired_differences
from ssul.report.reported_run import setup_of
from ssul.tracking.collect import LoggedRun, finished_runs, step_scores
from ssul.tracking.experiment import Scalar, logged_params
from ssul.tracking.metrics import BELOW_1_PERCENT
from ssul.tracking.store import NoStoreError

_METRICS = {"": "miou_", "held_out_": "holdout_miou_"}  # prefixes of a result's scores and of MLflow's metrics

app = typer.Typer(help="The experiments behind docs/evidence.md.", no_args_is_help=True)
Tables = Annotated[list[str] | None, typer.Option("--table", help="Only these tables; repeat it.")]


@app.command()
def queue(table: Tables = None, root: Root = Path()) -> None:
    """Queue the experiments of docs/evidence.yaml that MLflow lacks; `dvc queue start` runs them."""
    require_project(root)
    layout = Layout(root)
    spec = read_spec(layout.evidence_spec)
    runs, waiting = _known_runs(), _waiting(_dvc(root, "queue", "status"))
    for one in _wanted(spec, table):
        if _is_complete(one) and one.name not in waiting and find_run(one, runs, root) is None:
            _dvc(root, "exp", "remove", one.name, check=False)  # an earlier one, with other parameters or code
            _dvc(root, "exp", "run", "--queue", "-n", one.name, *_switches(one))
            print(f"queued {one.name}", flush=True)


@app.command()
def tables(root: Root = Path()) -> None:
    """Read the results from MLflow into docs/evidence.json; write the tables of docs/evidence.md and README.md."""
    require_project(root)
    layout = Layout(root)
    spec, known, runs = read_spec(layout.evidence_spec), Evidence.read(layout.evidence), _known_runs()
    evidence = Evidence(_results(spec, known, runs, root), {})
    for name, compared in _compared(spec, evidence, known, runs):
        evidence.differences.setdefault(name, []).append(compared)
    evidence.write(layout.evidence)
    update_pages(layout.evidence_page, layout.readme, spec, evidence)
    print(f"{layout.evidence}, {layout.evidence_page}, {layout.readme}")


def _known_runs() -> list[LoggedRun]:
    """The finished runs of the store; none if there is no store yet."""
    try:
        return finished_runs()
    except NoStoreError:
        return []


def _results(
    spec: EvidenceSpec, known: Evidence, runs: Sequence[LoggedRun], root: Path
) -> dict[str, dict[str, list[Result]]]:
    """Table -> row -> the results of its seeds; what this store lacks is taken from the earlier file."""
    found: dict[str, dict[str, list[Result]]] = {
        name: {row: [] for row in one.rows} for name, one in spec.tables.items()
    }
    for one in planned(spec):
        run = find_run(one, runs, root) if _is_complete(one) else None
        earlier = [r for r in known.results.get(one.table, {}).get(one.row, []) if r.overrides == one.overrides]
        if run is not None:
            found[one.table][one.row].append(_result(one, run, setup_of(_params(one, root))))
        elif earlier:
            found[one.table][one.row].append(
                replace(earlier[0], setup=setup_of(_params(one, root)))
            )  # of new parameters
        else:
            print(f"not run: {one.name}", file=sys.stderr)
    return found


def _compared(
    spec: EvidenceSpec, evidence: Evidence, known: Evidence, runs: Sequence[LoggedRun]
) -> Iterator[tuple[str, PairedResult]]:
    """Name of the comparison and its result; those whose runs this store lacks are taken from the earlier file."""
    here = {run.id: run for run in runs}
    counted: dict[str, CountedRun] = {}
    for name, first, second, pairs in pairs_to_compare(spec, evidence):
        ids = [result.run for pair in pairs for result in pair]
        if here.keys() >= set(ids):
            counted |= {one: counted_run(here[one]) for one in ids if one not in counted}
            found = paired_differences([(counted[one.run], counted[other.run]) for one, other in pairs])
            yield name, PairedResult(first, second, {score: found[score] for score in MEANS if score in found})
        else:
            before = known.differences.get(name, [])
            yield from ((name, one) for one in before if (one.first, one.second) == (first, second))


def _wanted(spec: EvidenceSpec, names: Sequence[str] | None) -> list[Planned]:
    unknown = set(names or ()) - spec.tables.keys()
    if unknown:
        raise UserError(f"there is no table {min(unknown)}: choose {', '.join(spec.tables)}")
    wanted = [one for one in planned(spec) if not names or one.table in names]
    variables = {word for one in wanted for word in map(expanded, one.overrides) if "$" in word}
    for word in sorted(variables):
        print(f"left out, because the environment lacks the variable: {word}", file=sys.stderr)
    return wanted


def _waiting(status: str) -> set[str]:
    """The experiments that wait or run in the table of `dvc queue status`, which also shows those that have ended."""
    rows = [line.split() for line in status.splitlines()]
    return {words[1] for words in rows if len(words) > 1 and words[-1] in ("Queued", "Running")}


def _is_complete(one: Planned) -> bool:
    """Whether the environment has all variables of an experiment."""
    return not any("$" in expanded(word) for word in one.overrides)


def _switches(one: Planned) -> list[str]:
    return [word for override in one.overrides for word in ("-S", expanded(override))]


def find_run(one: Planned, runs: Sequence[LoggedRun], root: Path) -> LoggedRun | None:
    """The latest run with the parameters of an experiment.

    A parameter that the run's version did not have yet may be missing, unless the experiment sets it.
    """
    params = _params(one, root)
    wanted = {name: str(value) for name, value in params.items() if affects_results(name)}
    if params["memory.capacity"] == 0:  # then the memory's other parameters decide nothing
        wanted = {name: value for name, value in wanted.items() if not name.startswith("memory.")} | {
            "memory.capacity": "0"
        }
    chosen = {override.partition("=")[0] for override in one.overrides}

    def fits(run: LoggedRun) -> bool:
        return all(run.params.get(name, None if name in chosen else value) == value for name, value in wanted.items())

    return next((run for run in runs if fits(run)), None)


@cache
def _params(one: Planned, root: Path) -> Mapping[str, Scalar]:
    """The parameters that `dvc exp run` composes for an experiment."""
    return logged_params(parse_params(composed(root, *map(expanded, one.overrides))))


def _result(one: Planned, run: LoggedRun, setup: str) -> Result:
    metrics = {f"{kind}{name}": f"{metric}{name}" for kind, metric in _METRICS.items() for name in MEANS}
    metrics["pixel_accuracy"] = "pixel_accuracy"
    all_, seconds = (step_scores(run.id, name) for name in ("miou_all", "train_seconds"))
    increments = all_.keys() - {0}
    known = bool(increments) and increments <= seconds.keys()
    return Result(
        seed=one.seed,
        overrides=one.overrides,
        method=run.tags["method"],
        setup=setup,
        run=run.id,
        commit=run.tags.get("mlflow.source.git.commit", ""),
        hardware=run.tags.get("hardware", ""),
        base=all_[0],
        scores={name: run.scores[metric] for name, metric in metrics.items() if metric in run.scores},
        below_1_percent=int(run.scores[BELOW_1_PERCENT]) if BELOW_1_PERCENT in run.scores else None,
        increments_seconds=sum(seconds[step] for step in increments) if known else None,
    )


def _dvc(root: Path, *words: str, check: bool = True) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise UserError(f"`dvc {' '.join(words[:2])}` failed: {' '.join(done.stderr.split())[-300:]}")
    return done.stdout
