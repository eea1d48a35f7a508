"""The state of a training on disk: a process that runs the same training again resumes from it.

A folder holds, for each training, under its fingerprint:

    F.safetensors   the last state, replaced as a whole
    F.lock          held while a process trains; the kernel releases it however the process dies
    F.holder        the process that holds it, for the message of a process that waits
    F.wanted        a process waits: the holder then saves its final state too
    F.time          the seconds of processes that were interrupted, see `ssul.pipeline.clock`
    F.views         the folder of fixed views, see `ssul.training.views`; removed when the training is done

Two processes that train the same, such as an orphan and its successor or two workers of a queue, do so one after the
other, and the second one takes over the state of the first.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ssul import environment
from ssul.errors import UserError
from ssul.io.atomic import replace_file
from ssul.io.locks import file_lock
from ssul.io.strict_json import parse_json
from ssul.model.checkpoint import save_tensors

_KEPT = 20
_A_DAY = 24 * 60 * 60.0  # seconds
_A_WEEK, _A_MONTH = 7 * _A_DAY, 30 * _A_DAY


@dataclass(frozen=True)
class TrainerState:
    """A saved state.

    Attributes:
        tensors: by name, on the CPU.
        notes: JSON.
    """

    tensors: Mapping[str, Tensor]
    notes: dict[str, Any]


class StateFile:
    """The file of one training's state. To save, get it from `locked`; to read, it may be made at any time."""

    def __init__(self, folder: Path, fingerprint: str, *, every: float | None = None) -> None:
        """Takes the folder, the training, and the seconds between two saves; None reads SSUL_SAVE_MINUTES."""
        self.folder, self._fingerprint = folder, fingerprint
        self._every = 60.0 * environment.save_minutes() if every is None else every
        self._saved_at = time.monotonic()

    @classmethod
    @contextmanager
    def locked(cls, folder: Path, fingerprint: str, log: Callable[[str], None]) -> Iterator["StateFile"]:
        """Locks a training for this process; waits while another process holds it.

        Args:
            folder: of all states; old ones are removed from it, see `prune`.
            fingerprint: of everything that the training depends on.
            log: takes one line if this waits.

        Raises:
            UserError: if the environment's number of minutes is invalid.
        """
        state_file = cls(folder, fingerprint)

        def busy(holder: str) -> None:
            state_file.path("wanted").touch()
            log(f"the same training runs already ({holder}): waiting for it, to take over what it has learned")

        with file_lock(state_file.path("lock"), busy):
            prune(folder)
            try:
                yield state_file
            finally:
                state_file.path("wanted").unlink(missing_ok=True)

    def path(self, suffix: str) -> Path:
        """The file of this training with a suffix."""
        return self.folder / f"{self._fingerprint}.{suffix}"

    def read(self) -> TrainerState | None:
        """The last saved state; None if there is none.

        Raises:
            UserError: if it is damaged.
        """
        path = self.path("safetensors")
        if not self.exists():
            return None
        try:
            with safe_open(path, framework="pt") as content:
                notes = parse_json(content.metadata()["notes"].encode(), dict[str, Any])
                return TrainerState({name: content.get_tensor(name) for name in content.keys()}, notes)  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"the state {path} of a training is damaged ({error}): delete it") from None

    def exists(self) -> bool:
        """Whether a state was saved."""
        return self.path("safetensors").exists()

    def save_due(self) -> bool:
        """Whether the interval between two saves has passed."""
        return time.monotonic() - self._saved_at >= self._every

    def save(self, state: TrainerState) -> None:
        """Replaces the saved state, as a whole or not at all; it survives a power failure.

        Raises:
            OSError: if it cannot be written; the previous state stays.
        """
        try:
            with replace_file(self.path("safetensors")) as temporary:
                save_tensors(temporary, state.tensors, json.dumps(state.notes))
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
        finally:  # a full disk is not tried again at once
            self._saved_at = time.monotonic()

    def is_wanted(self) -> bool:
        """Whether another process waits for this training's end."""
        return self.path("wanted").exists()


def prune(folder: Path) -> None:
    """Removes states that are neither among the newest 20 nor younger than a week, and files untouched for a month.

    Views, which are large and can be computed again, are removed after a day. The state of a finished training stays
    too: if DVC was killed before it committed the checkpoint, nothing is lost.
    """
    surplus = sorted(folder.glob("*.safetensors"), key=_age)[_KEPT:]
    for path in folder.iterdir():
        if _age(path) > (_A_DAY if path.suffix == ".views" else _A_WEEK if path in surplus else _A_MONTH):
            _remove(path)


def _remove(path: Path) -> None:
    """Removes a file or folder and its lock, unless a process holds the lock or the file belongs to another user."""
    lock = path if path.suffix == ".tmp" else path.with_suffix(".lock")
    with suppress(OSError), FileLock(lock).acquire(timeout=0):  # a held lock is an OSError too
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds since a file was written; infinity if it does not exist."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
