"""Parameters are not read while a dvc command puts them aside."""

import threading
import time
from pathlib import Path

import pytest
from dvc.lock import Lock, LockError

from ssul.pipeline import dvc_lock
from ssul.pipeline.dvc_lock import dvc_at_rest


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    """dvc's own lock of a folder."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    lock = Lock(str(tmp_path / ".dvc" / "tmp" / "lock"))
    lock.lock()
    return lock


def test_a_command_that_holds_dvcs_lock_is_waited_for(tmp_path: Path, lock: Lock) -> None:
    order: list[str] = []

    def release() -> None:
        order.append("released")
        lock.unlock()

    threading.Timer(0.2, release).start()
    with dvc_at_rest(tmp_path):
        order.append("read")
    assert order == ["released", "read"]


def test_a_command_that_holds_it_for_long_is_not(tmp_path: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc_lock, "_PATIENCE", 0.1)
    start = time.monotonic()
    with dvc_at_rest(tmp_path):
        assert time.monotonic() - start < 2
    lock.unlock()


def test_no_command_begins_meanwhile_and_any_may_afterwards(tmp_path: Path, lock: Lock) -> None:
    lock.unlock()
    with dvc_at_rest(tmp_path), dvc_at_rest(tmp_path), pytest.raises(LockError):
        lock._do_lock()
    lock.lock()


def test_where_dvc_has_never_run_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    with dvc_at_rest(tmp_path):
        assert list(tmp_path.iterdir()) == []
