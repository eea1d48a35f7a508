"""All environment variables: defaults, meanings and refusals. Only this module reads os.environ.

They set devices, workers, intervals and places, and never change a result. Everything that does is a parameter.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ssul.errors import UserError

ACCELERATOR = "SSUL_ACCELERATOR"
CACHE_MIB = "SSUL_CACHE_MIB"
DEVICES = "SSUL_DEVICES"
LIVE_AFTER = "SSUL_LIVE_AFTER"
NODES = "SSUL_NODES"
SAVE_MINUTES = "SSUL_SAVE_MINUTES"
SRUN = "SSUL_SRUN"
TRACKING = "SSUL_TRACKING"
WORKERS = "SSUL_WORKERS"
STORE_URI = "MLFLOW_TRACKING_URI"
Number = TypeVar("Number", int, float)


def accelerator() -> str:
    """SSUL_ACCELERATOR: the device that computes, as lightning-fabric names it; auto takes the best one."""
    return os.environ.get(ACCELERATOR) or "auto"


def devices() -> int:
    """SSUL_DEVICES: how many devices of this host, or of each node of SSUL_NODES, share every batch; 1.

    Raises:
        UserError: if it is not an integer of at least 1.
    """
    return _number(DEVICES, 1, int, "a number of devices: choose 1 or more", least=1)


def nodes() -> int | None:
    """SSUL_NODES: how many nodes of this SLURM job share every batch; None where no training is to start by srun.

    Raises:
        UserError: if it is not an integer of at least 1.
    """
    if not os.environ.get(NODES):
        return None
    return _number(NODES, 1, int, "a number of nodes: choose 1 or more", least=1)


def workers() -> int | None:
    """SSUL_WORKERS: loader workers of each training process, at least 0; None chooses by the cores.

    Raises:
        UserError: if it is not an integer.
    """
    if not os.environ.get(WORKERS):
        return None
    return max(0, _number(WORKERS, 0, int, "a number of processes: choose 0 or more"))


def cache_bytes() -> int:
    """SSUL_CACHE_MIB: bytes of decoded images that a training process keeps; 512 MiB, 0 keeps nothing.

    Raises:
        UserError: if it is not an integer.
    """
    return max(0, _number(CACHE_MIB, 512, int, "a number of MiB: choose 0 (keep nothing) or more")) * 2**20


def save_minutes() -> float:
    """SSUL_SAVE_MINUTES: minutes between two saved states of a training; 5.

    Raises:
        UserError: if it is not a number of at least 0.
    """
    return _number(SAVE_MINUTES, 5.0, float, "a number of minutes: choose 0 (after each iteration) or more", least=0.0)


def live_after() -> float:
    """SSUL_LIVE_AFTER: seconds that a training must last until MLflow shows it; 30.

    Raises:
        UserError: if it is not a number.
    """
    return _number(LIVE_AFTER, 30.0, float, "a number of seconds: choose 0 or more")


def tracking() -> bool:
    """SSUL_TRACKING: whether runs are logged in MLflow; on.

    Raises:
        UserError: if it is neither on nor off.
    """
    value = (os.environ.get(TRACKING) or "on").lower()
    if value not in ("on", "off"):
        raise UserError(f"{TRACKING} is '{value}': choose on or off")
    return value == "on"


def store_uri() -> str | None:
    """MLFLOW_TRACKING_URI: where runs are kept; None is mlflow.db in the project."""
    return os.environ.get(STORE_URI) or None


def project_root() -> Path:
    """DVC_ROOT: the project's main folder, also from inside a queue or --temp experiment, which runs in a copy.

    Datasets, weights and the MLflow store lie there; outputs belong to the folder that the stage runs in.
    """
    return Path(os.environ.get("DVC_ROOT") or ".")


def dvc_experiment() -> tuple[str | None, str | None]:
    """The name and the baseline commit of the DVC experiment that runs this stage; None outside one."""
    return os.environ.get("DVC_EXP_NAME"), os.environ.get("DVC_EXP_BASELINE_REV")


def rank() -> int:
    """The rank of this process as srun, torchrun or lightning-fabric set it; 0 in a process that starts the others."""
    if srun_since() is not None:
        return int(os.environ["SLURM_PROCID"])
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


def torchrun_sizes() -> tuple[int, int] | None:
    """(processes of this host, processes of all hosts) where torchrun started this one, else None."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    return int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])


def srun_since() -> float | None:
    """SSUL_SRUN: when the command began whose training srun has spread over these processes; None in all others.

    In seconds since 1970. SLURM's own variables do not tell, because they are set in every process of a job.
    """
    return float(os.environ[SRUN]) if os.environ.get(SRUN) else None


def set_defaults(values: Mapping[str, str]) -> None:
    """Sets variables that are not set, for libraries that read them when they are imported."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def become(command: Sequence[str], variables: Mapping[str, object] | None = None) -> None:
    """Replaces this process by a program, given by its path, with this environment and further variables."""
    os.execve(command[0], list(command), {**os.environ, **{name: str(one) for name, one in (variables or {}).items()}})


def _number(
    name: str, default: Number, kind: Callable[[str], Number], what: str, least: Number | None = None
) -> Number:
    given = os.environ.get(name)
    if not given:
        return default
    with suppress(ValueError):
        value = kind(given)
        if least is None or value >= least:
            return value
    raise UserError(f"{name}={given} is not {what}")


def expanded(text: str) -> str:
    """A text with the values of the variables that it names as $NAME; unknown ones stay."""
    return os.path.expandvars(text)
