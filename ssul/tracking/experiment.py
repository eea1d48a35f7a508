"""The identity of an experiment: the parameters, code and data that decide its results."""

import getpass
import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ssul import environment
from ssul.config.naming import RunName
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.errors import UserError

LOCATION_PARAMS = ("data.root", "data.download", "data.mirror", "data.on_error", "recipe.base.checkpoint")
"""Parameters that change no result: they name places, or the data index holds their whole effect (on_error)."""
_CODE = ("ssul", "stages", "conf", "dvc.yaml", "hydra_plugins")  # a commit identifies a run if these are unchanged

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Experiment:
    """The identity of a run, known before anything is computed.

    Attributes:
        fingerprint: see `fingerprint`.
        name: shown by MLflow.
        tags: scenario, method and others.
        params: all parameters by dotted names.
    """

    fingerprint: str
    name: str
    tags: dict[str, str]
    params: dict[str, Scalar]


def experiment_of(settings: Params) -> Experiment:
    """The experiment of this working folder, whose data must have been indexed.

    Raises:
        UserError: if dvc.yaml cannot be read.
    """
    params = logged_params(settings)
    index = [*(LAYOUT.index(split) for split in ("train", "val")), LAYOUT.initial_checkpoint]
    run_name = RunName.of(settings)
    return Experiment(
        fingerprint(params, deciding_code(settings.method.name), index),
        run_name.run_name(settings.seed),
        vars(run_name) | source_tags(),
        params,
    )


def logged_params(settings: Params) -> dict[str, Scalar]:
    """All parameters by dotted names, as a run holds them."""
    # scenario.steps follows from the other parameters, and would add a parameter for each step
    return flatten(settings.model_dump(mode="json", exclude={"scenario": {"steps"}}))


def deciding_code(method: str) -> list[Path]:
    """The files of code that decide a result: those that dvc.yaml lists for all stages but the report.

    Args:
        method: `method.name`, for which dvc.yaml lists the method's own folder.

    Returns:
        Paths relative to the working folder, sorted; weights that lie among the code are part of it.

    Raises:
        UserError: if dvc.yaml cannot be read.
    """
    try:
        stages = yaml.safe_load(LAYOUT.pipeline.read_text(encoding="utf-8"))["stages"]
        listed = {
            LAYOUT.root / entry.replace("${method.name}", method)
            for name, stage in stages.items()
            if name != "report"
            for entry in stage.get("do", stage)["deps"]
            if not entry.startswith("data/")
        }
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{LAYOUT.pipeline} cannot be read ({error}): restore it with `git checkout dvc.yaml`"
        ) from None
    files = (path for entry in listed for path in ([entry] if entry.suffix == ".py" else entry.rglob("*.*")))
    return sorted({path for path in files if path.suffix in (".py", ".safetensors")})


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Nested parameters by dotted names; lists become JSON text."""
    flat: dict[str, Scalar] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def affects_results(name: str) -> bool:
    """Whether a parameter, by its dotted name, can change a result."""
    return name not in LOCATION_PARAMS


def fingerprint(params: Mapping[str, Scalar], code: Iterable[Path], index: Iterable[Path]) -> str:
    """The identity of an experiment: 64 hexadecimal digits that change with parameters, code or data.

    The place of the data or of the store, the hardware and any order do not matter. `ssul.data.dataset_info` is not
    among the files, because the rows of the index already show which images were left out.

    Args:
        params: all parameters by dotted names.
        code: the Python files, by paths relative to the working folder.
        index: the files of the data index, likewise.
    """
    deciding = {name: value for name, value in params.items() if affects_results(name)}
    digests = {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in (*code, *index)}
    return hashlib.sha256(json.dumps([deciding, digests], sort_keys=True).encode()).hexdigest()


def source_tags() -> dict[str, str]:
    """DVC experiment, git commit, whether the code differs from it, and user; unknown ones are left out."""
    name, baseline = environment.dvc_experiment()
    commit = baseline or _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", *_CODE)
    known = {
        "dvc.experiment": name,
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc",
        "mlflow.user": _user(),
        "git.dirty": None if changed is None else str(bool(changed)).lower(),
    }
    return {key: value for key, value in known.items() if value}


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # the user of a container may have no name
        return None


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
