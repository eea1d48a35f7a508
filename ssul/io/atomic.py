"""Outputs appear whole or not at all: they are written under a temporary name, then moved.

Moving also protects DVC's cache: an output may be a hard link into it, and writing in place would change both.

A temporary name holds its writer, `.NAME.HOST.PID.tmp`: what a killed process leaves is removed by the next process of
the same host that writes into the folder.
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
    """Yields a temporary path that takes `path`'s place when the block ends well, and is removed when it does not."""
    temporary = _beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replace_dir(path: Path) -> Iterator[Path]:
    """Yields a fresh temporary folder that takes `path`'s place when the block ends well, and is removed otherwise.

    A folder cannot be replaced at once. Who dies between two moves leaves nothing there, never a part of the old one.
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
        if old.exists() and not path.exists():  # interrupted between the moves
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
    """The temporary name for this process, in a folder that is there and free of what dead ones have left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path.parent.resolve())
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")


@cache  # once a process: a folder may hold thousands of files
def _clear(folder: Path) -> None:
    for path in folder.glob(".*.tmp"):
        place, _, number = path.name.removesuffix(".tmp").rpartition(".")
        if place.endswith(f".{socket.gethostname()}") and number.isdecimal() and not _lives(int(number)):
            with suppress(OSError):  # another one may be clearing too
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
