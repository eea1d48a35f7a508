"""One process at a time, also beside an orphan of a killed command."""

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
    """Holds a lock while the block runs; the kernel lets it go however the process dies.

    Args:
        lock: its file; which process holds it stands beside it, in a file that ends in `.holder`.
        busy: is told once who holds it, like `process 17 on here`, if this must wait.

    Raises:
        UserError: if this user may not take it.
    """
    held, holder = FileLock(lock), lock.with_suffix(".holder")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=0)
    except Timeout:
        who = "another process"
        with suppress(OSError):
            who = holder.read_text(encoding="utf-8")
        busy(who)
        held.acquire()
    except PermissionError as error:
        raise UserError(f"{lock} cannot be taken ({error.strerror}): let this user write in {lock.parent}") from None
    try:
        write_text(holder, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()
