"""Which experiment a working folder is: the same for whoever asks, another one where anything that decides differs."""

from pathlib import Path

import pytest

from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.errors import UserError
from ssul.tracking.experiment import deciding_code, experiment_of
from tests.tracking.examples import PROJECT
from tests.workplace import fill


def test_an_experiment_is_named_and_tagged_by_what_it_is_about(workplace: Layout, settings: Params) -> None:
    found = experiment_of(settings)
    assert found.name == "ssul shapes 6-2 overlapped small"
    about = {"scenario": "shapes_6-2", "setting": "overlapped", "method": "ssul", "model": "small"}
    assert about.items() <= found.tags.items()
    assert experiment_of(settings.model_copy(update={"seed": 3})).name == f"{found.name} seed 3"


@pytest.mark.usefixtures("workplace")
def test_all_parameters_are_there_but_those_that_only_shape_the_pipeline(settings: Params) -> None:
    params = experiment_of(settings).params
    assert params["recipe.increment.lr"] == 0.1
    assert params["memory.capacity"] == 0
    assert params["scenario.last"] == 2
    assert not [name for name in params if name.startswith("scenario.steps")]


def test_the_same_content_in_another_folder_is_the_same_experiment(
    workplace: Layout, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = experiment_of(settings).fingerprint
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    fill(Layout())
    assert experiment_of(settings).fingerprint == here


def test_seed_code_data_and_the_checkpoint_to_start_from_make_another_experiment(
    workplace: Layout, settings: Params
) -> None:
    seen = [experiment_of(settings).fingerprint]
    seen.append(experiment_of(settings.model_copy(update={"seed": 1})).fingerprint)
    for name in ("ssul/training/part/code.py", "ssul/methods/ssul/increment.py", "stages/train_step.py"):
        write(name)
        seen.append(experiment_of(settings).fingerprint)
    for split in ("train", "val"):
        path = workplace.index(split)
        path.write_text(path.read_text().replace("1234", "1235"))
        seen.append(experiment_of(settings).fingerprint)
    InitialCheckpoint("f" * 64).write(workplace.initial_checkpoint)
    seen.append(experiment_of(settings).fingerprint)
    assert len(set(seen)) == 8


@pytest.mark.parametrize(
    "name",
    [
        "ssul/report/style.py",
        "ssul/tracking/live.py",
        "ssul/cli/app.py",
        "stages/report.py",
        "ssul/methods/plop/loss.py",
    ],
)
@pytest.mark.usefixtures("workplace")
def test_code_that_decides_no_result_makes_no_other_experiment(settings: Params, name: str) -> None:
    before = experiment_of(settings).fingerprint
    write(name)
    assert experiment_of(settings).fingerprint == before


def test_the_code_that_decides_is_what_dvc_yaml_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    code = {path.as_posix() for path in deciding_code("plop")}
    assert {"ssul/methods/plop/increment.py", "ssul/training/loop.py", "stages/prepare.py"} <= code
    assert {name.partition("/")[0] for name in code} == {"ssul", "stages"}
    assert not [name for name in code if name.startswith(("ssul/report", "ssul/tracking", "ssul/methods/mib"))]
    assert "stages/report.py" not in code


def test_a_missing_pipeline_is_named(workplace: Layout, settings: Params) -> None:
    workplace.pipeline.unlink()
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        experiment_of(settings)


def write(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("another")


def test_what_was_made_of_it_is_no_part_of_an_experiment(workplace: Layout, settings: Params) -> None:
    before = experiment_of(settings).fingerprint
    workplace.page.write_text("other")
    workplace.split(1).unlink()
    assert experiment_of(settings).fingerprint == before
