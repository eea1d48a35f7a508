"""The identity of an experiment: the parameters, code and data that decide its results."""

import getpass
import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ssul import environment
from ssul.config.dotted import affects_results, leaves
from ssul.config.naming import RunName
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.config.stages import read_stages
from ssul.config.unusual import unusual

_CODE = ("ssul", "stages", "conf", "dvc.yaml", "hydra_plugins")  # a commit identifies a run if these are unchanged

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Experiment:
    """The identity of a run, known before anything is computed.

    Attributes:
        fingerprint: see `fingerprint`.
        name: shown by MLflow.
        tags: scenario, method and others.
        params: all parameters by dotted names; lists are JSON text.
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
    return Experiment(
        fingerprint(params, deciding_code(settings), index),
        experiment_name(settings),
        vars(RunName.of(settings)) | source_tags(),
        params,
    )


def experiment_name(settings: Params) -> str:
    """The name in a list of runs: no two runs of a sweep have the same.

    Like `ssul-m voc 15-1 overlapped resnet101 seed 1 (crop=256, increment.lr=0.1) [DVC's name]`.
    """
    different = unusual(settings.model_dump(mode="json"), LAYOUT)
    by_dvc, _ = environment.dvc_experiment()
    name = RunName.of(settings).run_name(settings.seed)
    return name + (f" ({different})" if different else "") + (f" [{by_dvc}]" if by_dvc else "")


def logged_params(settings: Params) -> dict[str, Scalar]:
    """All parameters by dotted names, as a run holds them; a list is JSON text."""
    # scenario.steps follows from the other parameters, and would add a parameter for each step
    params = leaves(settings.model_dump(mode="json", exclude={"scenario": {"steps"}}))
    return {name: json.dumps(value) if isinstance(value, list) else value for name, value in params.items()}


def deciding_code(settings: Params) -> list[Path]:
    """The files of code that decide the results: those that dvc.yaml lists for the stages before the report.

    Returns:
        Paths relative to the working folder, sorted; weights that lie among the code are part of it.

    Raises:
        UserError: if dvc.yaml cannot be read.
    """
    stages = read_stages(LAYOUT.pipeline, settings.model_dump(mode="json"))
    return sorted({file for stage in stages if stage.name != "report" for file in stage.code(LAYOUT.root)})


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
