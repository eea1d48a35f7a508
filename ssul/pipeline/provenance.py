"""The inputs of a training, as they were when it started.

DVC hashes the dependencies of a stage when the stage has ended. If parameters or code are edited meanwhile, a
checkpoint would be recorded under contents that it was not made from, and the run cache would restore it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import ssul
from ssul.config.load import load_params
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.errors import UserError


@dataclass(frozen=True)
class Provenance:
    """The inputs of one training.

    Attributes:
        step: index.
        params: all parameters.
        listed: the parameters that dvc.yaml lists for the stage, by dotted name.
        files: the data that it reads and the code that dvc.yaml lists for it, by path in the project.
        digests: of the files.
    """

    step: int
    params: Params
    listed: Mapping[str, Any]
    files: Mapping[str, Path]
    digests: Mapping[str, str]

    @classmethod
    def read(cls, step: int) -> "Provenance":
        """Records the present inputs; a training does this first, before it reads anything.

        Raises:
            UserError: if the parameters are wrong.
        """
        params = load_params(LAYOUT.params)
        stage = _stage(step)
        files = _code(stage, params) | _data(step)
        return cls(step, params, _listed_params(stage), files, _digests(files))

    def require_unchanged(self) -> None:
        """Checks that no input has changed since `read`.

        Raises:
            UserError: naming what has changed.
        """
        try:
            listed = _listed_params(_stage(self.step))
        except (OSError, yaml.YAMLError):  # missing, or being written
            listed = {}
        before, now = {**self.listed, **self.digests}, {**listed, **_digests(self.files)}
        changed = sorted(name for name, one in before.items() if name not in now or now[name] != one)
        if changed:
            raise UserError(
                f"step {self.step}: {', '.join(changed)[:300]} changed while this trained; its checkpoint is not "
                "written, because dvc would record it under the new contents. The same command trains with these; if "
                "the former ones are restored, it goes on from the last saved state"
            )


def _stage(step: int) -> Mapping[str, Any]:
    """The stage in dvc.yaml; empty without dvc.yaml, because then nothing is recorded."""
    if not LAYOUT.pipeline.is_file():
        return {"deps": [], "params": []}
    stages = yaml.safe_load(LAYOUT.pipeline.read_text(encoding="utf-8"))["stages"]
    stage: Mapping[str, Any] = stages["train_base"] if step == 0 else stages["train_step"]["do"]
    return stage


def _listed_params(stage: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the parameters that a stage lists."""
    if not stage["params"]:
        return {}
    parameters = yaml.safe_load(LAYOUT.params.read_text(encoding="utf-8"))
    return {name: _at(parameters, name) for name in stage["params"]}


def _at(parameters: Any, name: str) -> Any:
    for part in name.split("."):
        parameters = parameters.get(part) if isinstance(parameters, dict) else None
    return parameters


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file; empty if it is missing."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for name, path in files.items()
    }


def _data(step: int) -> dict[str, Path]:
    found = [LAYOUT.index("train"), LAYOUT.index("val"), LAYOUT.split(step)]
    # of the previous network only model.json, because it holds a digest of each part
    found += (
        [LAYOUT.initial_checkpoint] if step == 0 else [LAYOUT.memory(step), LAYOUT.checkpoint(step - 1) / "model.json"]
    )
    return {str(path): path for path in found}


def _code(stage: Mapping[str, Any], params: Params) -> dict[str, Path]:
    """The Python files that the stage lists, by their path in the project."""
    root = Path(ssul.__file__).parents[1]
    listed = [dep for dep in stage["deps"] if not dep.startswith("data/")]
    listed = [dep.replace("${method.name}", params.method.name) if "${" in dep else dep for dep in listed]
    files = [file for dep in listed for file in ([root / dep] if dep.endswith(".py") else (root / dep).rglob("*.py"))]
    return {str(path.relative_to(root)): path for path in sorted(files)}
