"""The parameters as `conf/` composes them: no test reads the working copy's, which an experiment may have changed."""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from dvc.utils.hydra import compose_and_dump

PROJECT = Path(__file__).parents[1]


def write_params(path: Path, *overrides: str, project: Path = PROJECT) -> None:
    """Writes the params.yaml that `dvc exp run -S ...` writes in a project.

    Args:
        path: file to write.
        overrides: Hydra overrides such as `memory.capacity=4`.
        project: folder that holds `conf/` and `hydra_plugins/`.
    """
    compose_and_dump(path, str(project / "conf"), None, "config", str(project), list(overrides))


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
