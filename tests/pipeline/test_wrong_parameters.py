"""Nothing is kept under parameters that did not make it, whatever changes params.yaml while a stage runs."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssul.config.dotted import affects_results, leaves
from ssul.config.paths import Layout
from tests.pipeline.clone import TINY, Clone, digest, succeeded, switches
from tests.pipeline.held import held

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]


@dataclass(frozen=True)
class Kind:
    """A kind of stage.

    Attributes:
        stage: as dvc names it.
        command: its module and arguments.
        parameter: one that it lists.
        values: two of it.
    """

    stage: str
    command: str
    parameter: str
    values: tuple[str, str]

    @property
    def overrides(self) -> tuple[str, str]:
        one, other = (f"{self.parameter}={value}" for value in self.values)
        return one, other


KINDS = [
    Kind("prepare", "stages.prepare", "data.shapes.seed", ("1", "2")),
    Kind("splits", "stages.splits", "setting", ("disjoint", "partitioned")),
    Kind("train_base", "stages.train_base", "recipe.base.lr", ("0.04", "0.03")),
    Kind("evaluate_base", "stages.evaluate 0", "evaluation.examples", ("3", "4")),
    Kind("select_memory@1", "stages.select_memory 1", "memory.capacity", ("4", "6")),
    Kind("train_step@1", "stages.train_step 1", "recipe.increment.lr", ("0.04", "0.03")),
    Kind("report", "stages.report 2", "data.rehearsal_capacity", ("3", "4")),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.stage)


def words(kind: Kind, which: int) -> list[str]:
    """A `dvc exp run` up to the stage, with its first or its second value."""
    return ["exp", "run", *switches(*TINY, kind.overrides[which]), kind.stage]


def forced(kind: Kind) -> list[str]:
    """A `dvc exp run` of the stage alone with its first value, whatever is cached."""
    return ["exp", "run", "--force", "--single-item", *words(kind, 0)[2:]]


def edit(path: Path, kind: Kind) -> None:
    """Gives the parameter its second value in a params.yaml."""
    content = yaml.safe_load(path.read_text())
    *sections, last = kind.parameter.split(".")
    place = content
    for section in sections:
        place = place[section]
    place[last] = yaml.safe_load(kind.values[1])
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def outputs(clone: Clone, stage: str) -> dict[str, str]:
    """The digests of a stage's outputs, as dvc has recorded them."""
    outs = yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"][stage]["outs"]
    return {out["path"]: out["md5"] for out in outs}


def recorded(clone: Clone) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """For each entry of the run cache: its command, the parameters that dvc notes, and those that made its outputs."""
    cache = clone.root / ".dvc" / "cache"
    for path in (cache / "runs").rglob("*"):
        if path.is_file():
            entry: dict[str, Any] = yaml.safe_load(path.read_text())
            (note,) = (out["md5"] for out in entry["outs"] if out["path"].startswith("data/made_with/"))
            made: dict[str, Any] = yaml.safe_load((cache / "files" / "md5" / note[:2] / note[2:]).read_text())
            yield entry["cmd"], leaves(entry["params"]["params.yaml"]), made


@pytest.mark.parametrize(
    "override", ["recipe.increment.lr=-1", "scenario.increment=9", "recipe.lr=1", "method=nope", "data.name=town"]
)
def test_what_cannot_be_run_is_refused_in_one_line_before_anything_is_written(fresh: Clone, override: str) -> None:
    outcome = fresh.dvc("exp", "run", "-S", override)
    assert outcome.code == 1
    assert re.fullmatch(r"error: .+\n", outcome.text), outcome.text
    assert fresh.command("git", "status", "--short").text == ""


@each_kind
def test_what_others_write_into_the_parameters_of_a_running_stage_is_never_recorded(
    clone: Clone, kind: Kind, tmp_path: Path
) -> None:
    params = clone.root / "params.yaml"
    with held(clone, tmp_path, kind.command, *words(kind, 0)) as first:
        before = params.read_text()
        second = clone.dvc(*words(kind, 1))
        assert second.code == 1
        assert re.fullmatch(r"error: process \d+ \(`.*`\) computes in this folder, .*--queue.*--temp`\n", second.text)
        assert params.read_text() == before
        edit(params, kind)  # as an editor does
        outcome = first.go_on()
    assert outcome.code == 255
    errors = [line for line in outcome.text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, outcome.text
    assert errors[0].startswith(
        f"error: {kind.stage}: {kind.parameter} changed while this ran; its results are refused"
    )
    again = succeeded(clone.dvc("repro", kind.stage))
    assert kind.stage in again.ran  # nothing was recorded under these parameters
    for command, listed, made in recorded(clone):
        assert {name: value for name, value in listed.items() if affects_results(name)} == made, command
    if kind.stage == "train_step@1":  # one kind is made anew, because each takes its time
        kept = outputs(clone, kind.stage)
        shutil.rmtree(clone.root / "data" / "cache")  # else a training would go on from its end
        succeeded(clone.dvc("repro", "--force", "--single-item", kind.stage))
        assert outputs(clone, kind.stage) == kept


def test_a_second_experiment_is_refused_and_the_first_one_ends_as_if_it_had_been_alone(
    clone: Clone, tmp_path: Path
) -> None:
    kind = KINDS[-1]
    succeeded(clone.dvc(*words(kind, 0)))
    alone, page = outputs(clone, kind.stage), digest(clone.root / "reports")
    shutil.rmtree(clone.root / "data" / "cache")
    with held(clone, tmp_path, kind.command, *forced(kind)) as first:
        assert "computes in this folder" in clone.dvc(*words(kind, 1)).text
        succeeded(first.go_on())
    assert outputs(clone, kind.stage) == alone
    assert digest(clone.root / "reports") == page
    assert succeeded(clone.dvc("status", kind.stage)).text.endswith("up to date.\n")


def test_a_second_experiment_is_refused_while_the_first_one_is_committed(clone: Clone, tmp_path: Path) -> None:
    """No stage runs then. It would lose its report, and git's branch would move."""
    last = KINDS[-1]
    arrived, go = tmp_path / "arrived", tmp_path / "go"
    os.mkfifo(go)
    hook = clone.root / ".git" / "hooks" / "post-commit"
    hook.write_text(
        f"#!/bin/sh\ngrep -q 'rehearsal_capacity: 7' '{clone.root}/dvc.lock' || exit 0\n"  # dvc commits earlier too
        f"rm '{hook}'; touch '{arrived}'; cat '{go}'\n"
    )
    hook.chmod(0o755)
    head = clone.command("git", "rev-parse", "HEAD", "--abbrev-ref", "HEAD").text
    first = clone.background("exp", "run", *switches(*TINY, "data.rehearsal_capacity=7"))
    while not arrived.exists():
        assert first.poll() is None
        time.sleep(0.02)
    try:
        assert "`dvc exp run`) computes in this folder" in clone.dvc(*words(last, 1)).text
    finally:
        go.write_bytes(b"")
    assert first.wait(timeout=300) == 0
    assert clone.command("git", "rev-parse", "HEAD", "--abbrev-ref", "HEAD").text == head
    assert "rehearsal_capacity: 7" in Layout(clone.root).params.read_text()


def test_a_queued_experiment_does_not_disturb_the_stage_that_runs(clone: Clone, tmp_path: Path) -> None:
    """It puts params.yaml aside for a moment, and the refusal of a second experiment advises it."""
    kind = KINDS[3]
    with held(clone, tmp_path, kind.command, *forced(kind)) as first:
        succeeded(clone.dvc("exp", "run", "--queue", *words(kind, 1)[2:]))
        succeeded(first.go_on())


def test_a_report_of_what_other_parameters_have_made_is_refused(clone: Clone) -> None:
    succeeded(clone.experiment())
    edit(clone.root / "params.yaml", KINDS[5])
    outcome = clone.dvc("repro", "--force", "--single-item", "report")
    assert outcome.code != 0
    message = "error: data/checkpoints/step_1 was made with recipe.increment.lr=0.2, but params.yaml has 0.03: "
    assert message in outcome.text
    succeeded(clone.experiment())
    succeeded(clone.dvc("repro", "--force", "--single-item", "report"))
