"""The identity of a run: it depends on everything that decides a result, and on nothing else."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ssul.config.load import parse_params
from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.errors import UserError
from ssul.tracking.experiment import deciding_code, experiment_of, fingerprint, source_tags
from tests.project import composed
from tests.tracking.examples import PROJECT
from tests.workplace import fill

PARAMS = {"seed": 0, "data.root": None, "method.name": "ssul"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a few files."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "train.json"):
        Path(name).write_text(name)
    return tmp_path


def of(params: dict[str, Any], *code: str) -> str:
    return fingerprint(params, map(Path, code), [Path("train.json")])


def write(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("another")


# ---- the fingerprint ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_the_fingerprint_depends_on_no_order() -> None:
    assert of(PARAMS, "a.py", "b.py") == of(dict(reversed(PARAMS.items())), "b.py", "a.py")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "where",
    [
        {"data.root": "/somewhere"},
        {"data.download": True},
        {"data.mirror": "https://mirror.example"},
        {"data.on_error": "skip"},  # the index lacks the skipped images
        {"recipe.base.checkpoint": "/somewhere/step_0"},  # the index has its digest
    ],
)
def test_the_fingerprint_does_not_depend_on_the_place_and_origin_of_the_data(where: dict[str, Any]) -> None:
    usual = PARAMS | {"data.download": False, "data.mirror": None, "data.on_error": "refuse"}
    usual |= {"recipe.base.checkpoint": None}
    assert of(usual, "a.py") == of(usual | where, "a.py")


# ---- the experiment of a working folder -----------------------------------------------------------------------------


@pytest.mark.usefixtures("workplace")
def test_an_experiment_has_a_name_tags_and_all_parameters_but_the_steps(settings: Params) -> None:
    found = experiment_of(settings)
    assert found.name == "ssul shapes 6-2 overlapped small"
    about = {"scenario": "shapes_6-2", "setting": "overlapped", "method": "ssul", "model": "small"}
    assert about.items() <= found.tags.items()
    assert experiment_of(settings.model_copy(update={"seed": 3})).name == f"{found.name} seed 3"
    expected = {"recipe.increment.lr": 0.2, "recipe.scale": "[0.8, 1.25]", "memory.capacity": 0, "scenario.last": 2}
    assert expected.items() <= found.params.items()
    assert not [name for name in found.params if name.startswith("scenario.steps")]


@pytest.mark.usefixtures("workplace")
def test_the_same_content_in_another_folder_is_the_same_experiment(
    settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = experiment_of(settings).fingerprint
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    fill(Layout())
    assert experiment_of(settings).fingerprint == before


def test_another_seed_code_file_name_index_or_initial_checkpoint_is_another_experiment(
    workplace: Layout, settings: Params
) -> None:
    seen = [experiment_of(settings).fingerprint]
    seen.append(experiment_of(settings.model_copy(update={"seed": 1})).fingerprint)
    for name in ("ssul/training/part/code.py", "ssul/methods/ssul/increment.py", "stages/train_step.py"):
        write(name)
        seen.append(experiment_of(settings).fingerprint)
    Path("ssul/training/part/code.py").rename("ssul/training/part/other.py")
    seen.append(experiment_of(settings).fingerprint)
    for split in ("train", "val"):
        path = workplace.index(split)
        path.write_text(path.read_text().replace("1234", "1235"))
        seen.append(experiment_of(settings).fingerprint)
    InitialCheckpoint("f" * 64).write(workplace.initial_checkpoint)
    seen.append(experiment_of(settings).fingerprint)
    assert len(set(seen)) == 9


def test_code_that_decides_no_result_and_outputs_do_not_change_the_experiment(
    workplace: Layout, settings: Params
) -> None:
    before = experiment_of(settings).fingerprint
    for name in ("report/style.py", "tracking/live.py", "cli/app.py", "methods/plop/loss.py"):
        write(f"ssul/{name}")
    write("stages/report.py")
    workplace.page.write_text("other")
    workplace.split(1).unlink()
    assert experiment_of(settings).fingerprint == before


def test_the_deciding_code_is_what_dvc_yaml_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    code = {path.as_posix() for path in deciding_code(parse_params(composed("method=plop")))}
    assert {"ssul/methods/plop/increment.py", "ssul/training/loop.py", "stages/prepare.py"} <= code
    assert {name.partition("/")[0] for name in code} == {"ssul", "stages"}
    assert not [name for name in code if name.startswith(("ssul/report", "ssul/tracking", "ssul/methods/mib"))]
    assert "stages/report.py" not in code


def test_a_missing_pipeline_is_named(workplace: Layout, settings: Params) -> None:
    workplace.pipeline.unlink()
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        experiment_of(settings)


# ---- the commit of the code -----------------------------------------------------------------------------------------


@pytest.fixture
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def commit(here: Path, no_dvc: None) -> str:
    """The id of a commit of the working folder."""
    write("ssul/code.py")
    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "first")
    return git("rev-parse", "HEAD")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit_tags() -> dict[str, str]:
    """The tags of commit and experiment."""
    return {key: value for key, value in source_tags().items() if key.startswith(("dvc.", "git.", "mlflow.source.git"))}


@pytest.mark.parametrize(
    ("path", "dirty"),
    [("notes.txt", "false"), ("ssul/code.py", "true"), ("ssul/new.py", "true"), ("dvc.yaml", "true")],
)
def test_the_tags_name_the_commit_and_whether_the_code_differs_from_it(commit: str, path: str, dirty: str) -> None:
    Path(path).write_text("2")
    assert commit_tags() == {"mlflow.source.git.commit": commit, "git.dirty": dirty}


@pytest.mark.usefixtures("commit")
def test_the_tags_of_a_dvc_experiment_are_its_name_and_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc123")
    assert commit_tags() == {
        "dvc.experiment": "brave-newt",
        "mlflow.source.git.commit": "abc123",
        "git.dirty": "false",
    }


@pytest.mark.usefixtures("no_dvc")
def test_without_git_there_is_no_commit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit_tags() == {}
    monkeypatch.setenv("PATH", str(here))
    assert commit_tags() == {}


@pytest.mark.usefixtures("here")
def test_the_user_is_named_if_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    assert source_tags()["mlflow.user"] == "somebody"
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654_321)
    assert "mlflow.user" not in source_tags()
