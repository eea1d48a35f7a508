"""Which experiment a working folder is: the same for whoever asks, another one where anything that decides differs."""

from pathlib import Path

import pytest

from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.tracking.experiment import experiment_of
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
    for name in ("ssul/part/code.py", "stages/stage.py"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("1")
        seen.append(experiment_of(settings).fingerprint)
    for split in ("train", "val"):
        path = workplace.index(split)
        path.write_text(path.read_text().replace("1234", "1235"))
        seen.append(experiment_of(settings).fingerprint)
    InitialCheckpoint("f" * 64).write(workplace.initial_checkpoint)
    seen.append(experiment_of(settings).fingerprint)
    assert len(set(seen)) == 7


def test_what_was_made_of_it_is_no_part_of_an_experiment(workplace: Layout, settings: Params) -> None:
    before = experiment_of(settings).fingerprint
    workplace.page.write_text("other")
    workplace.split(1).unlink()
    assert experiment_of(settings).fingerprint == before
