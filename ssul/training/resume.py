"""The state of a training on disk, so that whoever runs the same training again goes on where it ended.

A folder holds, for each training, under its fingerprint:

    F.safetensors   the last state, replaced as a whole
    F.lock          held while a process trains; the kernel lets it go however the process dies
    F.holder        which process that is, for the message to whoever waits
    F.wanted        somebody waits: the process then leaves its last weights too
    F.done          the training ended well; kept for the case that nobody was left to take its checkpoint

Two that train the same, as an orphan and its successor or two workers of a queue, so do it one after the other, and
the second one takes over what the first one has.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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

_DONE_KEPT = 3  # that ended well, of all trainings: their checkpoints are where they belong, most often
_ENDED_KEPT = 20  # that did not, or that run; more if they are younger than a week
_A_DAY = 24 * 60 * 60.0  # seconds
_A_WEEK, _A_MONTH = 7 * _A_DAY, 30 * _A_DAY


def fingerprint(told: Iterable[object], weights: Mapping[str, Tensor]) -> str:
    """What a training is: 64 hexadecimal digits that differ when anything does that it depends on.

    Args:
        told: what is worth its `repr`, in a fixed order.
        weights: those that it begins with, by name.
    """
    digest = hashlib.sha256()
    for part in told:
        digest.update(f"{part!r}\n".encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class TrainerState:
    """A state as it was saved.

    Attributes:
        tensors: by name, on the CPU.
        notes: JSON.
    """

    tensors: Mapping[str, Tensor]
    notes: dict[str, Any]


class StateFile:
    """The file of one training's state. Make it with `held`, where the training may save; to read, at any time."""

    def __init__(self, folder: Path, fingerprint: str, *, every: float | None = None) -> None:
        """Takes the place, the training, and the seconds between two savings; None looks into the environment."""
        self.folder, self._fingerprint = folder, fingerprint
        self._every = 60.0 * environment.save_minutes() if every is None else every
        self._saved_at = time.monotonic()

    @classmethod
    @contextmanager
    def held(cls, folder: Path, fingerprint: str, tell: Callable[[str], None]) -> Iterator["StateFile"]:
        """Holds a training for this process, and waits as long as another one holds it.

        Args:
            folder: of all states; states that nobody needs any more are removed from it.
            fingerprint: of everything that the training depends on.
            tell: takes one line if this waits.

        Raises:
            UserError: if the environment's number of minutes is none.
        """
        kept = cls(folder, fingerprint)

        def busy(holder: str) -> None:
            kept.path("wanted").touch()
            tell(f"the same training runs already ({holder}): waiting for it, to take over what it has learned")

        with file_lock(kept.path("lock"), busy):
            prune(folder)
            try:
                yield kept
            finally:
                kept.path("wanted").unlink(missing_ok=True)

    def path(self, suffix: str) -> Path:
        """The file of this training with a suffix."""
        return self.folder / f"{self._fingerprint}.{suffix}"

    def read(self) -> TrainerState | None:
        """What was saved last; None where nothing was.

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
        """Whether anything was saved."""
        return self.path("safetensors").exists()

    def save_due(self) -> bool:
        """Whether the time to save has come."""
        return time.monotonic() - self._saved_at >= self._every

    def save(self, state: TrainerState) -> None:
        """Replaces what was saved, at once or not at all; what the disk holds survives a loss of power.

        Raises:
            OSError: if it cannot be written; the state before is still there.
        """
        try:
            self.path("done").unlink(missing_ok=True)
            with replace_file(self.path("safetensors")) as temporary:
                save_tensors(temporary, state.tensors, json.dumps(state.notes))
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
        finally:  # a full disk is not asked again at once
            self._saved_at = time.monotonic()

    def is_wanted(self) -> bool:
        """Whether another process waits for this training's end."""
        return self.path("wanted").exists()

    def finish(self) -> None:
        """Notes that the training ended well and that its checkpoint is written."""
        if self.exists():
            self.path("done").touch()


def prune(folder: Path) -> None:
    """Removes states that nobody is going to go on with, and whatever nobody has touched for a month."""
    states = sorted(folder.glob("*.safetensors"), key=_age)
    done = [path for path in states if path.with_suffix(".done").exists()]
    ended = [path for path in states if path not in done]
    for path in (*done[_DONE_KEPT:], *(path for path in ended[_ENDED_KEPT:] if _age(path) > _A_WEEK)):
        _remove(path.with_suffix(".lock"), path, path.with_suffix(".done"))
    for path in folder.iterdir():
        if _age(path) > _A_MONTH:
            _remove(path if path.suffix == ".tmp" else path.with_suffix(".lock"), path)


def _remove(lock: Path, *paths: Path) -> None:
    """Removes files and their lock, unless a process holds it or they are somebody else's."""
    with suppress(OSError), FileLock(lock).acquire(timeout=0):  # a lock that is held is an OSError too
        for path in (*paths, lock):
            path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds since a file was written; endless for one that is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
