"""A lock between processes: one at a time, also beside an orphan of a killed command."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ssul.errors import UserError
from ssul.io.atomic import write_text


@contextmanager
def file_lock(lock: Path, busy: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock while the block runs. The kernel releases it however the process ends.

    Args:
        lock: the lock file. A file beside it, with the suffix `.holder`, names the process that holds the lock.
        busy: is called once with that name, such as `process 17 on host`, if this process must wait.

    Raises:
        UserError: if this user may not lock the file.
    """
    file, holder = FileLock(lock), lock.with_suffix(".holder")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file.acquire(timeout=0)
    except Timeout:
        name = "another process"
        with suppress(OSError):
            name = holder.read_text(encoding="utf-8")
        busy(name)
        file.acquire()
    except PermissionError as error:
        raise UserError(f"{lock} cannot be taken ({error.strerror}): let this user write in {lock.parent}") from None
    try:
        write_text(holder, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        file.release()


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock, on whatever host; False too where this user may not ask."""
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
