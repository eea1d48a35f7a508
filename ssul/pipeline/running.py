"""Whether a pipeline runs in a folder."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from ssul.config.paths import Layout
from ssul.errors import UserError
from ssul.io.locks import is_held


def require_idle(project: Path) -> None:
    """Refuses to go on while a `dvc repro` or `dvc exp run` computes in this folder.

    DVC reads params.yaml again when a stage has ended. Were it changed meanwhile, DVC would record results under
    parameters that did not make them.

    Args:
        project: the folder of dvc.yaml.

    Raises:
        UserError: naming the process and the ways out.
    """
    notes = project / ".dvc" / "tmp"
    for pid, command in [*_writers(notes / "rwlock"), *_experiment(notes / "exps" / "run" / "workspace")]:
        if psutil.pid_exists(pid):
            raise _busy(f"process {pid} (`{command}`)")
    for holder in _elsewhere(Layout(project)):
        raise _busy(holder)


def _busy(process: str) -> UserError:
    return UserError(
        f"{process} computes in this folder, and its results would be recorded under the new parameters: wait for it, "
        "or run the experiment in a folder of its own with `dvc exp run --queue` or `dvc exp run --temp`"
    )


def _elsewhere(layout: Layout) -> Iterator[str]:
    """The processes of other hosts that run a stage in this folder: of them, DVC's process numbers say nothing.

    A stage of this host without a live dvc is an orphan, and the next stage waits for it.
    """
    for file in layout.stage_lock("any").parent.glob("*.holder"):
        with suppress(OSError):
            holder = file.read_text(encoding="utf-8")
            if not holder.endswith(f" on {socket.gethostname()}") and is_held(file.with_suffix(".lock")):
                yield holder


def _writers(rwlock: Path) -> list[tuple[int, str]]:
    """Process and command of each entry in DVC's list of who writes what; none if it cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return [(int(one["pid"]), str(one["cmd"])) for one in json.loads(rwlock.read_text())["write"].values()]
    return []


def _experiment(folder: Path) -> list[tuple[int, str]]:
    """The process of the `dvc exp run` of this folder: it begins and ends its work while it writes nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return [(int(json.loads((folder / "workspace.json").read_text())["pid"]), "dvc exp run")]
    return []
