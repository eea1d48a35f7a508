"""The project's files as tests may read them.

An experiment changes the working copy's `params.yaml` and `reports/`. So tests compose the parameters from `conf/`, and
take the committed reports.
"""

import functools
import io
import re
import shlex
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import yaml
from dvc.utils.hydra import compose_and_dump

PROJECT = Path(__file__).parents[1]


def write_params(path: Path, *overrides: str) -> None:
    """Writes the params.yaml that `dvc exp run -S ...` writes.

    Args:
        path: file to write.
        overrides: Hydra overrides such as `memory.capacity=4`.
    """
    compose_and_dump(path, str(PROJECT / "conf"), None, "config", str(PROJECT), list(overrides))


@functools.cache
def composed_text(*overrides: str) -> str:
    """The text of that params.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        write_params(path, *overrides)
        return path.read_text(encoding="utf-8")


def composed(*overrides: str) -> dict[str, Any]:
    """Its content."""
    content: dict[str, Any] = yaml.safe_load(composed_text(*overrides))
    return content


def commands_in(page: str) -> list[list[str]]:
    """The command lines of a page's bash blocks, as words, without comments."""
    blocks = re.findall(r"^ *```bash\n(.*?)```", page, flags=re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def git(*words: str) -> bytes:
    """The output of a git command in the project.

    Raises:
        subprocess.CalledProcessError: if it fails, as it does where there is no git checkout.
    """
    return subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, check=True).stdout


def unpack_committed_reports(root: Path) -> None:
    """Writes the committed `reports/` below a folder."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD", "reports"))) as reports:
        reports.extractall(root, filter="data")
