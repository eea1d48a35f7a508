"""One process at a time; a process learns which one holds the lock, and never waits for a dead one."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from ssul.errors import UserError
from ssul.io.locks import file_lock

PROJECT = Path(__file__).parents[2]


def never(holder: str) -> None:
    pytest.fail(f"waits for {holder}")


def holding(lock: Path, *, body: str = "print('held', flush=True)") -> "subprocess.Popen[str]":
    """A process that holds a lock, runs some code, and holds on until its input is closed."""
    code = (
        "import os, sys, time; from pathlib import Path; from ssul.io.locks import file_lock\n"
        f"with file_lock(Path(sys.argv[1]), print):\n    {body}\n    sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(lock)]
    return subprocess.Popen(words, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_lone_process_does_not_wait_and_leaves_no_holder_file(tmp_path: Path) -> None:
    holder = tmp_path / "new" / "a.holder"
    with file_lock(tmp_path / "new" / "a.lock", never):
        assert holder.read_text().startswith("process ")
    assert not holder.exists()
    with pytest.raises(ValueError, match="no"), file_lock(tmp_path / "new" / "a.lock", never):
        raise ValueError("no")
    with file_lock(tmp_path / "new" / "a.lock", never):
        pass


def test_the_second_process_waits_for_the_first_and_gets_its_name(tmp_path: Path) -> None:
    process = holding(tmp_path / "a.lock")
    assert first_line(process) == "held\n"
    messages: list[str] = []

    def busy(holder: str) -> None:
        messages.append(holder)
        process.communicate("", timeout=60)

    with file_lock(tmp_path / "b.lock", never):  # another lock is free
        pass
    with file_lock(tmp_path / "a.lock", busy):
        assert process.returncode == 0
    (holder,) = messages
    assert holder.startswith(f"process {process.pid} on ")


def test_neither_a_killed_process_nor_its_living_child_holds_the_lock(tmp_path: Path) -> None:
    """A data loader may outlive its killed training for seconds."""
    process = holding(tmp_path / "a.lock", body="os.fork() or (print(os.getpid(), flush=True), time.sleep(100))")
    child = int(first_line(process))
    try:
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        with file_lock(tmp_path / "a.lock", never):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lock_that_may_not_be_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(lock: FileLock, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", forbidden)
    message = r"a\.lock cannot be taken \(Permission denied\): let this user write in "
    with pytest.raises(UserError, match=message), file_lock(tmp_path / "a.lock", never):
        pass
