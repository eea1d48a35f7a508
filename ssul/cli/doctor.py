"""`ssul doctor`: whether the chosen experiment would run here, and how long."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssul.cli.options import Root, require_project
from ssul.errors import UserError

if TYPE_CHECKING:
    from ssul.cli.doctor_checks import Finding


def doctor(
    overrides: Annotated[
        list[str] | None,
        typer.Option("-S", "--set-param", help="As of `dvc exp run`; repeat it."),
    ] = None,
    time: Annotated[bool, typer.Option(help="Measure a few iterations and estimate the time.")] = True,
    root: Root = Path(),
) -> None:
    """Look at device, memory, disk, data, weights and time of an experiment; code 1 on a problem.

    Without -S it is the experiment in params.yaml.
    """
    problems = 0
    for one in _findings(overrides or [], time=time, root=root):
        print(f"{one.state:8} {one.what:9} {one.text}", flush=True)
        problems += one.state == "problem"
    if problems:
        raise typer.Exit(1)


def _findings(overrides: list[str], *, time: bool, root: Path) -> "Iterator[Finding]":
    from ssul.cli import doctor_checks as checks  # late: it brings torch, which takes seconds

    yield from checks.versions()
    try:
        require_project(root)
        params = checks.chosen_params(root, overrides)
        scenario = checks.scenario_of(params)
    except UserError as error:
        yield checks.Finding("problem", "project", str(error))
        return
    steps = " + ".join(str(len(step.new)) for step in scenario.steps)
    yield checks.Finding(
        "ok",
        "project",
        f"{params.method.name} learns {steps} classes of {params.data.name} with {params.model.backbone}",
    )
    line, fabric = checks.device(params)
    yield line
    yield from checks.memory()
    line, sample = checks.data(params, root)
    yield line
    yield checks.weights(params)
    yield checks.tracking()
    estimate = None
    if time and fabric is not None and sample is not None:
        line, estimate = checks.time(params, scenario, sample, fabric)
        yield line
    yield checks.disk(root, params, scenario, estimate)
