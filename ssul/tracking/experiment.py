"""Which experiment a run is: parameters, code and data that decide it."""

import getpass
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssul.config.naming import RunName
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params

# Parameters that say where something lies or how it gets there, or whose whole effect (on_error) the index holds: the
# same experiment elsewhere is the same.
LOCATION_PARAMS = ("data.root", "data.download", "data.mirror", "data.on_error", "recipe.base.checkpoint")
_CODE = ("ssul", "stages", "conf", "dvc.yaml", "hydra_plugins")  # what a commit must hold for it to say what ran

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Experiment:
    """What a run is, known before anything of it is computed.

    Attributes:
        fingerprint: see `fingerprint`.
        name: shown by MLflow.
        tags: like scenario and method.
        params: all parameters by dotted names.
    """

    fingerprint: str
    name: str
    tags: dict[str, str]
    params: dict[str, Scalar]


def experiment_of(settings: Params) -> Experiment:
    """The experiment of this working folder, whose data must have been indexed."""
    # scenario.steps follows from the other parameters and would be a parameter for each step
    params = flatten(settings.model_dump(mode="json", exclude={"scenario": {"steps"}}))
    index = [*(LAYOUT.index(split) for split in ("train", "val")), LAYOUT.initial_checkpoint]
    subject = RunName.of(settings)
    return Experiment(
        fingerprint(params, LAYOUT.code, index), subject.run_name(settings.seed), vars(subject) | source_tags(), params
    )


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Nested parameters by dotted names; lists become JSON text."""
    flat: dict[str, Scalar] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def decides(name: str) -> bool:
    """Whether a parameter, by its dotted name, decides a result; others say where something lies."""
    return name not in LOCATION_PARAMS


def fingerprint(params: Mapping[str, Scalar], code: Iterable[Path], index: Iterable[Path]) -> str:
    """What an experiment is: 64 hexadecimal digits that differ when parameters, code or data do.

    Where data or store lie and on which hardware it runs is not part of it, nor is any order. Which images were left
    out shows in the rows of the index, so that `ssul.data.dataset_info` need not be among its files.

    Args:
        params: all parameters by dotted names.
        code: the Python files, by paths relative to the working folder.
        index: the files of the data index, likewise.
    """
    what = {name: value for name, value in params.items() if decides(name)}
    digests = {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in (*code, *index)}
    return hashlib.sha256(json.dumps([what, digests], sort_keys=True).encode()).hexdigest()


def source_tags() -> dict[str, str]:
    """Tags: the DVC experiment, the git commit, whether the code differs from it, and who; as far as they are known."""
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", *_CODE)
    known = {
        "dvc.experiment": os.environ.get("DVC_EXP_NAME"),
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc",
        "mlflow.user": _user(),
        "git.dirty": None if changed is None else str(bool(changed)).lower(),
    }
    return {key: value for key, value in known.items() if value}


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return None


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
