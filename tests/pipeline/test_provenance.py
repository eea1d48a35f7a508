"""A checkpoint is recorded under what it was made from, or not at all."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ssul.config.paths import LAYOUT
from ssul.errors import UserError
from ssul.pipeline.provenance import Provenance
from tests.project import PROJECT, composed_text


@pytest.fixture(scope="module")
def params() -> str:
    return composed_text()


@pytest.fixture(autouse=True)
def _folder(params: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(PROJECT / "dvc.yaml", "dvc.yaml")
    Path("params.yaml").write_text(params, encoding="utf-8")
    for path in (LAYOUT.split(0), LAYOUT.memory(1), LAYOUT.checkpoint(0) / "model.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def set_parameter(name: str, value: object) -> None:
    content = yaml.safe_load(LAYOUT.params.read_text())
    *path, last = name.split(".")
    section = content
    for part in path:
        section = section[part]
    section[last] = value
    LAYOUT.params.write_text(yaml.safe_dump(content, sort_keys=False))


def test_what_is_as_it_was_is_accepted() -> None:
    provenance = Provenance.read(1)
    assert provenance.params.seed == yaml.safe_load(LAYOUT.params.read_text())["seed"]
    LAYOUT.params.touch()
    provenance.require_unchanged()


@pytest.mark.parametrize(
    ("step", "name", "listed"),
    [
        (0, "recipe.base.epochs", "recipe.base.epochs"),
        (1, "recipe.increment.epochs", "recipe.increment"),
        (1, "seed", "seed"),
    ],
)
def test_a_parameter_that_the_stage_lists_must_stay(step: int, name: str, listed: str) -> None:
    provenance = Provenance.read(step)
    set_parameter(name, 99)
    with pytest.raises(UserError, match=rf"^step {step}: {listed} changed while this trained; its checkpoint is no"):
        provenance.require_unchanged()


@pytest.mark.parametrize(
    ("step", "name"), [(0, "recipe.increment.epochs"), (1, "recipe.base.epochs"), (1, "evaluation.examples")]
)
def test_parameters_of_other_stages_may_be_edited_meanwhile(step: int, name: str) -> None:
    provenance = Provenance.read(step)
    set_parameter(name, 99)
    provenance.require_unchanged()


def test_without_a_pipeline_nobody_records_parameters() -> None:
    LAYOUT.pipeline.unlink()
    provenance = Provenance.read(1)
    set_parameter("seed", 99)
    provenance.require_unchanged()


@pytest.mark.parametrize(
    ("step", "path"), [(0, LAYOUT.split(0)), (1, LAYOUT.memory(1)), (1, LAYOUT.checkpoint(0) / "model.json")], ids=str
)
def test_data_that_are_replaced_or_taken_away_are_named(step: int, path: Path) -> None:
    provenance = Provenance.read(step)
    path.write_text("[]")
    with pytest.raises(UserError, match=str(path)):
        provenance.require_unchanged()
    path.unlink()
    with pytest.raises(UserError, match=str(path)):
        provenance.require_unchanged()


def test_code_that_is_edited_is_named(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("x = 1")
    provenance = Provenance.read(1)
    one = replace(provenance, files={"ssul/code.py": code}, digests={"ssul/code.py": "another"})
    with pytest.raises(UserError, match=r"ssul/code\.py"):
        one.require_unchanged()


@pytest.mark.parametrize("content", ["a: [", "{}", None])
def test_parameters_that_are_gone_or_half_written_are_not_those_that_were_read(content: str | None) -> None:
    provenance = Provenance.read(1)
    LAYOUT.params.unlink()
    if content is not None:
        LAYOUT.params.write_text(content)
    with pytest.raises(UserError, match=r"data\.saliency, memory\.annotation, .* changed while"):
        provenance.require_unchanged()


@pytest.mark.parametrize("method", ["ssul", "plop"])
def test_the_code_is_what_decides_the_result(method: str) -> None:
    LAYOUT.params.write_text(composed_text(f"method={method}"), encoding="utf-8")
    code = {name: path for name, path in Provenance.read(1).files.items() if not name.startswith("data/")}
    assert {"stages/train_step.py", "ssul/training/loop.py", f"ssul/methods/{method}/increment.py"} <= set(code)
    carriers = ("ssul/pipeline/", "ssul/config/", "ssul/io/", "ssul/tracking/", "ssul/report/", "ssul/methods/mib/")
    assert not any(name.startswith(carriers) for name in code)
    assert all(path == PROJECT / name for name, path in code.items())
    assert not any(name.startswith("ssul/methods/") for name in Provenance.read(0).files)
