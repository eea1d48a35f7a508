"""A clone of the project, driven by the real `dvc`: for the pipeline's tests, and for benchmarks."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.project import PROJECT, git, unpack_committed_reports, write_params

# 30 drawn images and a narrow network that learns for one epoch: every stage does its real work on a small scale
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
LITTLE = (
    *("model=small", "model.width=8", "recipe.crop=64", "evaluation.examples=2"),
    *("recipe.base.epochs=1", "recipe.base.batch=4", "recipe.increment.epochs=1", "recipe.increment.batch=4"),
)
"""The same network and epoch, on data that are described by a file."""
INCREMENTS = [f"{stage}@{step}" for step in (1, 2) for stage in ("select_memory", "train_step", "evaluate_step")]
EVERYTHING = ["prepare", "splits", "train_base", "evaluate_base", *INCREMENTS, "report"]
"""The stages of the first experiment: two increments."""


@dataclass(frozen=True)
class Outcome:
    """The exit status and the output of a command."""

    code: int
    text: str

    @property
    def ran(self) -> list[str]:
        """The stages that dvc ran, in order."""
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
        return self.dvc("exp", "run", *switches(*TINY, *overrides))

    def describe(self, name: str, root: Path, **described: object) -> None:
        """Writes conf/data/NAME.yaml as a user would: the other settings as in the file for ADE20K."""
        known = yaml.safe_load((PROJECT / "conf" / "data" / "ade.yaml").read_text())
        content = known | {"name": name, "root": str(root), "custom": described}
        (self.root / "conf" / "data" / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def stage(self, name: str, *arguments: str) -> Outcome:
        """Runs one stage without dvc."""
        return self.command(sys.executable, "-m", f"stages.{name}", *arguments)

    def command(self, *words: str) -> Outcome:
        """Runs any command in the clone."""
        done = subprocess.run(
            words, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def background(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Starts a dvc command in a session of its own; its output is lost, because nothing must wait for its pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def repair(self) -> None:
        """Does what git and dvc ask people to do after a kill while they wrote their own files in place."""
        (self.root / ".git" / "index.lock").unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            read_and_write = self.root / ".dvc" / "tmp" / "rwlock"
            if not _is_json(read_and_write.read_text(encoding="utf-8")):
                read_and_write.unlink()
        with suppress(FileNotFoundError):
            lock = self.root / "dvc.lock"
            if not _is_lock(lock.read_text(encoding="utf-8")) and self.command("git", "checkout", "dvc.lock").code:
                lock.unlink()  # git does not know it yet; all that has run is in dvc's run cache

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment without the variables that lead a command out of the clone."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "MLFLOW_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }

    def copy(self, root: Path) -> "Clone":
        """Another clone like it, with an MLflow store of its own."""
        shutil.copytree(self.root, root, symlinks=True)
        if (store := root / "mlflow.db").exists():
            _move_artifacts(store, (self.root.resolve() / "mlruns").as_uri(), (root.resolve() / "mlruns").as_uri())
        return Clone(root)


def make_clone(root: Path, *overrides: str) -> Clone:
    """Makes a repository in which nothing has run.

    It holds the working tree (what git tracks or would track) but for what an experiment changes: `params.yaml` is
    composed from `conf/`, `reports/` are the committed ones, and there is no `dvc.lock`.

    Args:
        root: folder of the clone.
        overrides: Hydra overrides of its committed `params.yaml`.
    """
    for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0"):
        if (PROJECT / name).is_file() and name not in ("dvc.lock", "params.yaml") and not name.startswith("reports/"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, root / name)
    unpack_committed_reports(root)
    write_params(root / "params.yaml", *overrides)
    clone = Clone(root)
    clone.command("git", "init", "-q")
    clone.command("git", "config", "user.name", "test")
    clone.command("git", "config", "user.email", "test@example.org")
    clone.command("git", "add", "-A")
    clone.command("git", "commit", "-qm", "the project")
    return clone


def _move_artifacts(store: Path, old: str, new: str) -> None:
    """Lets the runs of a copied MLflow store keep their artifacts beside it: the store holds absolute addresses."""
    with closing(sqlite3.connect(store)) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))


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


def switches(*overrides: str) -> list[str]:
    """Overrides as the words of a `dvc exp run`."""
    return [word for item in overrides for word in ("-S", item)]


def succeeded(outcome: Outcome) -> Outcome:
    """The outcome of a command that must have worked."""
    assert outcome.code == 0, outcome.text[-3000:]
    return outcome


def digest(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder, by its place."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(clone: Clone) -> list[dict[str, float | None]]:
    """The mean IoUs of each step."""
    table: list[dict[str, float | None]] = json.loads((clone.root / "reports" / "miou_per_step.json").read_text())
    return table
