"""Parameters as `dvc exp run` composes them from conf/: what tests use, and never the working copy's params.yaml."""

import copy
import functools
import tempfile
from pathlib import Path
from typing import Any

import yaml
from dvc.utils.hydra import compose_and_dump

PROJECT = Path(__file__).parents[1]


@functools.cache
def composed_text(*overrides: str) -> str:
    """The text of params.yaml after `dvc exp run -S OVERRIDE ...`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "params.yaml"
        compose_and_dump(output, str(PROJECT / "conf"), None, "config", str(PROJECT), list(overrides))
        return output.read_text(encoding="utf-8")


@functools.cache
def _composed(*overrides: str) -> Any:
    return yaml.safe_load(composed_text(*overrides))


def composed(*overrides: str) -> dict[str, Any]:
    """The parameters after `dvc exp run -S OVERRIDE ...`, for a test to change."""
    content: dict[str, Any] = copy.deepcopy(_composed(*overrides))
    return content
