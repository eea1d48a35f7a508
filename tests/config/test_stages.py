"""dvc.yaml is read as dvc reads it."""

import re
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from ssul.config.paths import Layout
from ssul.config.stages import Stage, read_stages, upstream
from ssul.errors import UserError
from tests.project import PROJECT, composed

PIPELINE = Layout(PROJECT).pipeline


def stages(*overrides: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in read_stages(PIPELINE, composed(*overrides))}


@pytest.mark.parametrize("overrides", [(), ("method=plop", "scenario.increment=1"), ("scenario=shapes_offline",)])
def test_stages_are_those_of_dvc(overrides: tuple[str, ...], tmp_path: Path) -> None:
    """A repository of dvc that holds nothing else."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE.read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(composed(*overrides)))
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as repo:
        expected = {
            stage.name: Stage(
                stage.name,
                stage.cmd,
                tuple(dep.def_path for dep in stage.deps if not hasattr(dep, "params")),
                tuple(name for dep in stage.deps for name in getattr(dep, "params", ())),
                tuple(out.def_path for out in stage.outs if not out.metric),
            )
            for stage in repo.index.stages
        }
    found = stages(*overrides)
    assert set(found) == set(expected)
    for name, stage in expected.items():
        for part in ("command", "deps", "params", "outs"):
            assert sorted(getattr(found[name], part)) == sorted(getattr(stage, part)), (name, part)


def test_every_stage_notes_its_parameters_where_the_others_look_for_them() -> None:
    for name, stage in stages().items():
        assert [out for out in stage.outs if "made_with" in out] == [str(Layout().made_with(name))]


def test_no_stage_depends_on_the_noted_parameters() -> None:
    """Else a parameter that changes nothing in an output would make later stages run again."""
    assert [dep for stage in stages().values() for dep in stage.deps if "made_with" in dep] == []


def test_what_lies_before_a_stage_is_all_that_it_rests_on() -> None:
    known = stages()
    before = {name: {one.name for one in upstream(stage, [*known.values()])} for name, stage in known.items()}
    assert before["prepare"] == set()
    assert before["splits"] == {"prepare"}
    assert before["evaluate_base"] == {"prepare", "splits", "train_base"}
    assert before["train_step@1"] == {"prepare", "splits", "train_base", "select_memory@1"}
    assert before["report"] == set(known) - {"report"}


@pytest.mark.parametrize("content", [None, "", "stages: 3", "stages: {a: {}}", "a: ["])
def test_a_file_without_stages_is_named_with_the_way_to_restore_it(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "dvc.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(
        UserError, match=rf"{re.escape(str(path))} cannot be read .*`git checkout .*dvc\.yaml`"
    ) as refused:
        read_stages(path, composed())
    assert str(refused.value).isprintable()


def test_stages_that_somebody_adds_do_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "dvc.yaml"
    path.write_text(
        "stages: {a: {cmd: [b, c], outs: [{d: {cache: false}}]}, e: {foreach: [x, y], do: {cmd: 'f ${item}'}}}"
    )
    assert [(stage.name, stage.outs) for stage in read_stages(path, {})] == [("a", ("d",)), ("e@x", ()), ("e@y", ())]
