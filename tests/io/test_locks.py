"""One process at a time; it learns which process holds the lock, and never waits for a dead one."""

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


def holding(lock: Path) -> "subprocess.Popen[str]":
    """A process that holds a lock until its input is closed."""
    code = (
        "import sys; from pathlib import Path; from ssul.io.locks import file_lock\n"
        "with file_lock(Path(sys.argv[1]), print):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_is_alone_is_not_kept_waiting_and_leaves_no_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with file_lock(tmp_path / "new" / "a.lock", never):
            assert (tmp_path / "new" / "a.holder").read_text().startswith("process ")
        assert not (tmp_path / "new" / "a.holder").exists()


def test_the_second_waits_for_the_first_and_is_told_who_that_is(tmp_path: Path) -> None:
    process = holding(tmp_path / "a.lock")
    messages: list[str] = []

    def busy(holder: str) -> None:
        messages.append(holder)
        process.communicate("", timeout=60)

    with file_lock(tmp_path / "a.lock", busy):
        assert process.returncode == 0
    (holder,) = messages
    assert holder.startswith(f"process {process.pid} on ")


def test_who_was_killed_holds_nothing(tmp_path: Path) -> None:
    process = holding(tmp_path / "a.lock")
    process.kill()
    process.wait()
    with file_lock(tmp_path / "a.lock", never):
        pass


def test_other_locks_are_not_waited_for(tmp_path: Path) -> None:
    process = holding(tmp_path / "a.lock")
    with file_lock(tmp_path / "b.lock", never):
        process.kill()
    process.wait()


def test_a_lock_that_may_not_be_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(lock: FileLock, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", forbidden)
    message = r"a\.lock cannot be taken \(Permission denied\): let this user write in "
    with pytest.raises(UserError, match=message), file_lock(tmp_path / "a.lock", never):
        pass


def test_a_child_that_lives_on_holds_nothing(tmp_path: Path) -> None:
    """As a loader does for seconds when its training was killed."""
    code = (
        "import os, sys, time; from pathlib import Path; from ssul.io.locks import file_lock\n"
        "with file_lock(Path(sys.argv[1]), print):\n"
        "    if not os.fork(): print(os.getpid(), flush=True)\n"
        "    time.sleep(100)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "a.lock")]
    process = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives
        with file_lock(tmp_path / "a.lock", never):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_block_that_fails_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), file_lock(tmp_path / "a.lock", never):
        raise ValueError("no")
    with file_lock(tmp_path / "a.lock", never):
        pass
