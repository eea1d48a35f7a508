"""The experiments of DVC as git keeps them: a ref names each, here and on a git remote."""

import difflib
import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ssul.errors import UserError

_REF = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/([^/]+)")  # the others below refs/exps are dvc's own


@dataclass(frozen=True)
class Experiment:
    """An experiment of DVC.

    Attributes:
        name: as `dvc exp show` prints it; unique for its baseline.
        baseline: the commit that it started from.
        commit: its own.
        ref: git's name of it.
    """

    name: str
    baseline: str
    commit: str
    ref: str


def experiments_here(root: Path) -> list[Experiment]:
    """All experiments of this clone."""
    return _experiments(git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps"))


def experiments_there(root: Path, remote: str) -> list[Experiment]:
    """All experiments on a git remote.

    Raises:
        UserError: if there is no such remote, or it does not answer.
    """
    if remote not in (known := git(root, "remote").split()):
        raise UserError(
            f"there is no git remote {remote}: "
            + (f"choose {', '.join(known)} with --git-remote" if known else f"`git remote add {remote} ADDRESS`")
        )
    return _experiments(git(root, "ls-remote", remote, "refs/exps/*"))


def chosen(experiments: Collection[Experiment], names: Collection[str], where: str) -> list[Experiment]:
    """The experiments with these names, those of all baselines; all, if no name is given.

    Raises:
        UserError: naming an unknown name and the nearest known one.
    """
    known = {one.name for one in experiments}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            guess = f": did you mean {near[0]}?" if near else ""
            raise UserError(f"there is no experiment {name} {where}{guess or ': `dvc exp list -A` names those here'}")
    return [one for one in experiments if not names or one.name in names]


def require_published(root: Path, remote: str) -> None:
    """Refuses a commit that a git remote lacks, because experiments build on it.

    Raises:
        UserError: saying how to push it; or if the remote cannot be reached.
    """
    if _has_present_commit(root, remote):
        return
    git(root, "fetch", "--quiet", remote)  # another clone may have pushed it
    if not _has_present_commit(root, remote):
        branch = git(root, "branch", "--show-current").strip() or "HEAD:refs/heads/BRANCH"
        raise UserError(
            f"the present commit is not on {remote} yet: type `git push {remote} {branch}` first, or name a git remote "
            "that you may push to by --git-remote"
        )


def _has_present_commit(root: Path, remote: str) -> bool:
    return bool(git(root, "branch", "--remotes", "--list", f"{remote}/*", "--contains", "HEAD").strip())


def git(root: Path, *words: str) -> str:
    """The output of a git command.

    Raises:
        UserError: if it fails.
    """
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise UserError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"`git {words[0]}` failed: {' '.join(error.stderr.split())[-300:]}") from None
    return done.stdout


def _experiments(lines: str) -> list[Experiment]:
    pairs = (line.split() for line in lines.splitlines())
    found = ((commit, _REF.fullmatch(ref)) for commit, ref in pairs)
    return [Experiment(ref[3], ref[1] + ref[2], commit, ref[0]) for commit, ref in found if ref is not None]
