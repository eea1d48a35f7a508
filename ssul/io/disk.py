"""Free disk space."""

import shutil
from pathlib import Path

from ssul.errors import UserError


def require_disk_space(folder: Path, needed: int, *, what: str) -> None:
    """Refuses work for which the disk is too full.

    Args:
        folder: a folder on the disk.
        needed: bytes.
        what: the work, for the message.

    Raises:
        UserError: if fewer bytes are free.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(f"cannot find out how much room is in {folder}: {error.strerror}") from error
    if needed > free:
        raise UserError(
            f"{what} needs {format_bytes(needed)} in {folder}, {format_bytes(free)} are free: make room there, or "
            "choose another disk"
        )


def format_bytes(count: float) -> str:
    """A readable number of bytes: `512 B`, `1.9 GB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"
