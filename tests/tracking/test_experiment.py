"""Which experiment a run is: what decides it, what does not, and which commit it came from."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ssul.tracking.experiment import affects_results, fingerprint, flatten, source_tags

PARAMS = {"seed": 0, "data.root": None, "method.name": "ssul"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a few files."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "train.json"):
        Path(name).write_text(name)
    return tmp_path


def of(params: dict[str, Any], code: list[str]) -> str:
    return fingerprint(params, map(Path, code), [Path("train.json")])


@pytest.mark.usefixtures("here")
def test_the_fingerprint_depends_on_no_order() -> None:
    reordered = dict(reversed(PARAMS.items()))
    assert of(PARAMS, ["a.py", "b.py"]) == of(reordered, ["b.py", "a.py"])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "where",
    [
        {"data.root": "/somewhere"},
        {"data.download": True},
        {"data.mirror": "https://mirror.example"},
        {"data.on_error": "skip"},  # what it leaves out, the index leaves out
        {"recipe.base.checkpoint": "/somewhere/step_0"},  # what it holds, the index's start.json tells
    ],
)
def test_the_fingerprint_does_not_ask_where_the_data_lies_and_how_it_came_there(where: dict[str, Any]) -> None:
    usual = PARAMS | {"data.download": False, "data.mirror": None, "data.on_error": "refuse"}
    usual |= {"recipe.base.checkpoint": None}
    assert of(usual, ["a.py"]) == of(usual | where, ["a.py"])
    assert not any(affects_results(name) for name in where)


@pytest.mark.usefixtures("here")
def test_the_fingerprint_changes_with_a_parameter_code_a_files_name_and_the_index() -> None:
    seen = {of(PARAMS, ["a.py"]), of(PARAMS | {"seed": 1}, ["a.py"]), of(PARAMS, ["a.py", "b.py"])}
    Path("a.py").rename("c.py")
    seen.add(of(PARAMS, ["c.py"]))
    Path("c.py").write_text("other")
    seen.add(of(PARAMS, ["c.py"]))
    Path("train.json").write_text("other")
    seen.add(of(PARAMS, ["c.py"]))
    assert len(seen) == 6


def test_nested_parameters_become_dotted_names_and_lists_text() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": 1, "a.d": "[1, 2]", "e": None}


# ---- where the code came from ---------------------------------------------------------------------------------------


@pytest.fixture
def repository(here: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A commit of the working folder; its id."""
    for variable in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(variable, raising=False)
    Path("ssul").mkdir()
    Path("ssul/code.py").write_text("1")
    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "first")
    return git("rev-parse", "HEAD")


def commit_of(told: dict[str, str]) -> dict[str, str]:
    """The tags that tell commit and experiment."""
    return {key: value for key, value in told.items() if key.startswith(("dvc.", "git.", "mlflow.source.git."))}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_told_and_that_the_code_is_the_commits(repository: str) -> None:
    Path("notes.txt").write_text("no code")
    assert commit_of(source_tags()) == {"mlflow.source.git.commit": repository, "git.dirty": "false"}


@pytest.mark.parametrize("path", ["ssul/code.py", "ssul/new.py", "dvc.yaml"])
def test_code_that_differs_from_the_commit_is_told(repository: str, path: str) -> None:
    Path(path).write_text("2")
    assert commit_of(source_tags()) == {"mlflow.source.git.commit": repository, "git.dirty": "true"}


@pytest.mark.usefixtures("repository")
def test_in_an_experiment_of_dvc_its_name_and_baseline_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc123")
    told = commit_of(source_tags())
    assert told == {"dvc.experiment": "brave-newt", "mlflow.source.git.commit": "abc123", "git.dirty": "false"}


def test_without_git_no_commit_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(variable, raising=False)
    assert commit_of(source_tags()) == {}
    monkeypatch.setenv("PATH", str(here))
    assert commit_of(source_tags()) == {}


@pytest.mark.usefixtures("here")
def test_who_ran_it_is_told_where_the_user_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    assert source_tags()["mlflow.user"] == "somebody"
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654_321)
    assert "mlflow.user" not in source_tags()
