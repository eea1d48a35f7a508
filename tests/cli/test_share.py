"""What `ssul remote`, `share` and `fetch` refuse, and where the remote is written; tests/pipeline shares in earnest."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from typer.testing import CliRunner

from ssul.cli import share
from ssul.cli.app import app
from ssul.cli.experiment_refs import Experiment, chosen, experiments_here, require_published
from ssul.cli.share import run_of
from ssul.config.load import parse_params
from ssul.errors import UserError
from ssul.tracking.collect import LoggedRun
from ssul.tracking.experiment import logged_params
from tests.project import composed

ONE = Experiment("tidy-moth", "a" * 40, "b" * 40, f"refs/exps/aa/{'a' * 38}/tidy-moth")


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def refusal(*words: str) -> str:
    """What a command that must fail says."""
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in git and DVC, with one commit."""
    root = tmp_path_factory.mktemp("template")
    for words in ("init -q", "config user.name me", "config user.email me@example.org"):
        git(root, *words.split())
    Repo.init(str(root)).close()
    (root / "dvc.yaml").write_text("stages: {}\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "the project")
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the working folder."""
    shutil.copytree(template, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def remotes(root: Path, level: str) -> Any:
    with Repo(str(root)) as repo:
        return dict(repo.config.read(level)["remote"])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("me@host:/srv", "did you mean ssh://me@host/srv?"),
        ("s3:/bucket/x", "did you mean s3://bucket/x?"),
        ("ssh:///srv", "names no host"),
        ("file:///srv", "a folder without file:"),
        ("shared", "lies inside the project"),
        ("", "lies inside the project"),
        ("/no/where/at/all", "there is no folder /no/where/at"),
        ("floppy://me:secret@a/b", "Unsupported URL type floppy://"),
    ],
)
def test_a_remote_that_would_reach_nobody_is_refused_by_name(project: Path, url: str, reason: str) -> None:
    assert reason in (said := refusal("remote", url))
    assert "secret" not in said
    assert remotes(project, "local") == {}


def test_the_remote_is_known_to_this_clone_alone_and_keeps_its_settings(project: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert CliRunner().invoke(app, ["remote", "../store"]).exit_code == 0
    with Repo(str(project)) as repo, repo.config.edit("local") as local:
        local["remote"]["shared"]["verify"] = "true"
    for words in ([], [str(tmp_path / "store")]):
        assert CliRunner().invoke(app, ["remote", *words]).exit_code == 0
        assert remotes(project, "local") == {"shared": {"url": str(tmp_path / "store"), "verify": "true"}}
    assert remotes(project, "repo") == {}
    assert git(project, "status", "--porcelain") == ""


def test_nothing_is_shared_without_a_remote_of_either_kind(project: Path, tmp_path: Path) -> None:
    assert "there is no git remote origin: `git remote add origin ADDRESS`" in refusal("share")
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    git(project, "remote", "add", "origin", str(tmp_path / "hub.git"))
    branch = git(project, "branch", "--show-current")
    assert f"`git push origin {branch}` first" in refusal("share")
    git(project, "push", "-q", "origin", branch)
    require_published(project, "origin")
    for command in ("share", "fetch"):
        assert "`ssul remote URL`" in refusal(command)
    assert "choose origin with --git-remote" in refusal("fetch", "--git-remote", "elsewhere")


def test_another_experiment_of_the_same_name_is_never_replaced(project: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    git(project, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(project, "push", "-q", "origin", "HEAD", f"HEAD:{ONE.ref}")
    git(project, "commit", "-qm", "later", "--allow-empty")
    git(project, "push", "-q", "origin", "HEAD")
    for ref in (ONE.ref, "refs/exps/stash", "refs/exps/exec/EXEC_HEAD"):
        git(project, "update-ref", ref, "HEAD")
    assert [one.name for one in experiments_here(project)] == ["tidy-moth"]
    assert "is on origin" in (said := refusal("share"))
    assert "`dvc exp remove -g origin tidy-moth`" in said
    assert "is here" in refusal("fetch")


def test_a_mistyped_name_is_refused_with_the_nearest() -> None:
    assert chosen([ONE], [], "here") == [ONE]
    with pytest.raises(UserError, match="no experiment tidymoth here: did you mean tidy-moth"):
        chosen([ONE], ["tidymoth"], "here")


@pytest.mark.parametrize("which", ["named", "equal", "other scores", "other parameters", "other version"])
def test_the_run_of_an_experiment_has_its_parameters_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    files = {"params.yaml": yaml.safe_dump(composed()), "reports/miou_per_step.json": '[{"step": 0, "all": 0.5}]'}
    monkeypatch.setattr(share, "git", lambda root, show, file: files[file.partition(":./")[2]])
    monkeypatch.setattr(share, "step_scores", lambda run, metric: {0: 0.25 if run == "other" else 0.5})
    params = {name: str(value) for name, value in logged_params(parse_params(composed())).items()}
    tags = {"dvc.experiment": ONE.name, "mlflow.source.git.commit": ONE.baseline}
    named = LoggedRun("named", tags, params | {"data.root": "/elsewhere"}, {}, 0)
    later = LoggedRun("later", {}, params, {}, 1)
    if which == "named":
        assert run_of(ONE, [later, named], tmp_path) == named
    elif which == "equal":
        assert run_of(ONE, [later], tmp_path) == later
    elif which == "other scores":
        assert run_of(ONE, [replace(named, id="other")], tmp_path) is None
    elif which == "other parameters":
        assert run_of(ONE, [replace(later, params=params | {"seed": "1"})], tmp_path) is None
    else:
        files["params.yaml"] = "gone: 1"
        assert run_of(ONE, [later, named], tmp_path) == named
