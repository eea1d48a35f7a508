"""Outputs appear whole or not at all: they are written under a temporary name, then moved.

Moving also protects DVC's cache: an output may be a hard link into it, and writing in place would change both.

A temporary name contains its writer, `.NAME.HOST.PID.tmp`. What a killed process leaves is removed by the next process
of the same host that writes into the folder.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path. It replaces `path` if the block ends without an error, and is removed otherwise."""
    temporary = _beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replace_dir(path: Path) -> Iterator[Path]:
    """Yields a new temporary folder. It replaces `path` if the block ends without an error, and is removed otherwise.

    Folders cannot be replaced atomically. A crash between the two renames leaves no folder, never a part of one.
    """
    temporary = _beside(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    old = _beside(path.with_name(f"{path.name}.old"))
    try:
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)
    finally:
        if old.exists() and not path.exists():  # interrupted between the renames
            old.replace(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def _beside(path: Path) -> Path:
    """This process's temporary name for `path`; makes the folder, and removes the files of dead processes from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path.parent.resolve())
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")


@cache  # once a process: a folder may hold thousands of files
def _clear(folder: Path) -> None:
    for path in folder.glob(".*.tmp"):
        name, _, number = path.name.removesuffix(".tmp").rpartition(".")
        if name.endswith(f".{socket.gethostname()}") and number.isdecimal() and not _is_running(int(number)):
            with suppress(OSError):  # another process may be removing it too
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
