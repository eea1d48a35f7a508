"""Reading while no dvc command moves files.

A `dvc exp run`, also one that is refused or queued, puts uncommitted changes aside for a moment, params.yaml with them.
It holds dvc's lock while it does so; a dvc that waits for a stage does not.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PATIENCE = 3.0  # seconds, as long as dvc itself waits


@contextmanager
def dvc_at_rest(root: Path = Path()) -> Iterator[None]:
    """Waits until no dvc command holds its lock, and lets none take it while the block runs.

    Where a command holds it for long, such as a `dvc push`, the block runs beside it.

    Args:
        root: the folder of dvc.yaml; where dvc has never run there is nothing to wait for.
    """
    end = time.monotonic() + _PATIENCE
    try:
        lock = (root / ".dvc" / "tmp" / "lock").open("rb")
    except OSError:
        yield
        return
    with lock:
        while time.monotonic() < end:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            time.sleep(0.02)
        yield
