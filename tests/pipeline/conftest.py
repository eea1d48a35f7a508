"""The pipeline as a user has it: the project's files in a clone of its own, driven by the real `dvc`."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]

# a world of 30 drawn images that a narrow network sees for one epoch: every stage does its real work, in little
TINY = (
    "data.shapes.train=24",
    "data.shapes.val=6",
    "data.shapes.height=48",
    "data.shapes.width=64",
    "model.width=8",
    "recipe.crop=48",
    "recipe.base.epochs=1",
    "recipe.base.batch=4",
    "recipe.increment.epochs=1",
    "recipe.increment.batch=4",
    "evaluation.examples=2",
)


STEPS = ("1", "2")
INCREMENTS = [f"{stage}@{step}" for step in STEPS for stage in ("select_memory", "train_step", "evaluate_step")]
EVERYTHING = ["prepare", "splits", "train_base", "evaluate_base", *INCREMENTS, "report"]


@dataclass(frozen=True)
class Outcome:
    """What a `dvc` command did, by its own account."""

    code: int
    text: str

    @property
    def ran(self) -> list[str]:
        """The stages that were run, in order."""
        return re.findall(r"Running stage '([^']+)'", self.text)

    @property
    def restored(self) -> list[str]:
        """The stages whose outputs came from the run cache."""
        return re.findall(r"Stage '([^']+)' is cached - skipping run", self.text)


@dataclass(frozen=True)
class Clone:
    """A clone of the project."""

    root: Path

    def dvc(self, *arguments: str) -> Outcome:
        """Runs a dvc command."""
        return self.command(sys.executable, "-m", "dvc", *arguments)

    def experiment(self, *overrides: str) -> Outcome:
        """Runs `dvc exp run` on the tiny world with further overrides."""
        return self.dvc("exp", "run", *(word for item in (*TINY, *overrides) for word in ("-S", item)))

    def stage(self, name: str, *arguments: str) -> Outcome:
        """Runs one stage by hand."""
        return self.command(sys.executable, "-m", f"stages.{name}", *arguments)

    def command(self, *words: str) -> Outcome:
        """Runs any command in the clone."""
        done = subprocess.run(
            words, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def background(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Starts a dvc command in a session of its own; what it says is lost, for nothing must wait for its pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def obey(self) -> None:
        """Does what git and dvc ask people to do where they were killed while they wrote their own files in place."""
        (self.root / ".git" / "index.lock").unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            read_and_write = self.root / ".dvc" / "tmp" / "rwlock"
            if not _is_json(read_and_write.read_text(encoding="utf-8")):
                read_and_write.unlink()
        with suppress(FileNotFoundError):
            lock = self.root / "dvc.lock"
            if not _is_lock(lock.read_text(encoding="utf-8")) and self.command("git", "checkout", "dvc.lock").code:
                lock.unlink()  # git does not know it yet; what has run is in dvc's run cache all the same

    @property
    def environment(self) -> dict[str, str]:
        """This process's, without what would lead a command out of the clone."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "MLFLOW_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _is_lock(text: str) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(text))
    except (yaml.YAMLError, Invalid):
        return False
    return True


def succeeded(outcome: Outcome) -> Outcome:
    """The outcome of a command that must have worked."""
    assert outcome.code == 0, outcome.text[-3000:]
    return outcome


def digest(folder: Path) -> dict[str, str]:
    """The content of a folder, by file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(clone: Clone) -> list[dict[str, float | None]]:
    """The mean IoUs of each step."""
    return json.loads((clone.root / "reports" / "miou_per_step.json").read_text())


def make_clone(root: Path) -> Clone:
    """Copies the working tree (what git tracks or would track) into a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file() and name != "dvc.lock":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, root / name)
    clone = Clone(root)
    clone.command("git", "init", "-q")
    clone.command("git", "config", "user.name", "test")
    clone.command("git", "config", "user.email", "test@example.org")
    clone.command("git", "add", "-A")
    clone.command("git", "commit", "-qm", "the project")
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which nothing has run yet."""
    return make_clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def first(clone: Clone) -> Outcome:
    """The first experiment of a fresh clone."""
    return succeeded(clone.experiment())


@pytest.fixture(scope="module")
def base(clone: Clone, first: Outcome) -> dict[str, str]:
    """The hashes of the base checkpoint after the first experiment."""
    return digest(clone.root / "data" / "checkpoints" / "step_0")
