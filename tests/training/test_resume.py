"""The saved state of a training: whole or as before, locked by one process, removed when it is old."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from ssul.errors import UserError
from ssul.training import resume
from ssul.training.resume import StateFile, TrainerState, prune

PROJECT = Path(__file__).parents[2]
STATE = TrainerState(
    {"learned.weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3), "random": torch.arange(5).byte()},
    {"iteration": 7, "points": [{"loss": 0.1 + 0.2}], "hardware": "Größe \u2028 \U0001f600"},
)
DAY = 24 * 60 * 60


def never(line: str) -> None:
    raise AssertionError(f"logged: {line}")


def holder(folder: Path, name: str, what: str = "time.sleep(60)") -> "subprocess.Popen[str]":
    """A process that locks a training as `state_file`, and then does something."""
    code = (
        "import sys, time, torch\n"
        "from pathlib import Path\n"
        "from ssul.training.resume import StateFile, TrainerState\n"
        f"with StateFile.locked(Path({str(folder)!r}), {name!r}, print) as state_file:\n"
        "    print('locked', flush=True)\n"
        f"    {what}\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def saved(folder: Path, name: str, *, age: float) -> None:
    """Saves a state, some seconds ago."""
    state_file = StateFile(folder, name)
    state_file.save(STATE)
    os.utime(state_file.path("safetensors"), times=(time.time() - age,) * 2)


def states(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.safetensors")}


def test_the_last_saved_state_is_read(tmp_path: Path) -> None:
    with StateFile.locked(tmp_path, "one", never) as state_file:
        assert state_file.read() is None
        state_file.save(TrainerState({"learned.weight": torch.ones(4)}, {"iteration": 1}))
        state_file.save(STATE)
    found = StateFile(tmp_path, "one").read()
    assert found is not None
    assert found.notes == STATE.notes
    assert found.tensors.keys() == STATE.tensors.keys()
    for name, tensor in found.tensors.items():
        assert tensor.dtype == STATE.tensors[name].dtype
        assert torch.equal(tensor, STATE.tensors[name])
    assert StateFile(tmp_path, "another").read() is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.99])
def test_a_truncated_state_is_refused_by_name(tmp_path: Path, share: float) -> None:
    saved(tmp_path, "one", age=0)
    path = tmp_path / "one.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"one\.safetensors of a training is damaged .*: delete it"):
        StateFile(tmp_path, "one").read()


@pytest.mark.parametrize("metadata", [None, {"notes": "{"}, {"notes": "[]"}, {"notes": '{"iteration": NaN}'}])
def test_a_foreign_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "one.safetensors", metadata=metadata)
    with pytest.raises(UserError, match="damaged"):
        StateFile(tmp_path, "one").read()


def test_a_failed_save_leaves_the_previous_state_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, tensors: object, notes: str) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    state_file = StateFile(tmp_path, "one")
    state_file.save(STATE)
    monkeypatch.setattr(resume, "save_tensors", full)
    with pytest.raises(OSError, match="No space left"):
        state_file.save(TrainerState({}, {"iteration": 8}))
    found = state_file.read()
    assert found is not None
    assert found.notes == STATE.notes
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_state(tmp_path: Path) -> None:
    state = "TrainerState({'weight': torch.full((3_000_000,), float(at))}, {'iteration': at})"
    torn = 0
    for _ in range(8):
        process = holder(tmp_path, "one", f"[state_file.save({state}) for at in range(9999)]")
        while not (StateFile(tmp_path, "one").exists() and list(tmp_path.glob(".*.tmp"))):
            assert process.poll() is None
        process.kill()
        process.wait()
        torn += len(list(tmp_path.glob(".*.tmp")))  # the next process removes what this one left
        found = StateFile(tmp_path, "one").read()
        assert found is not None
        assert torch.equal(found.tensors["weight"], torch.full((3_000_000,), float(found.notes["iteration"])))
    assert 0 < torn <= 8  # not every kill comes in time


def test_a_save_is_due_when_the_interval_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    state_file = StateFile(tmp_path, "one", every=60)
    for _ in range(2):
        assert not state_file.save_due()
        now += 59
        assert not state_file.save_due()
        now += 1
        assert state_file.save_due()
        state_file.save(STATE)


def test_the_second_process_waits_names_the_first_and_takes_over_its_state(tmp_path: Path) -> None:
    wait = (
        "while not state_file.is_wanted(): time.sleep(0.01)\n"
        "    state_file.save(TrainerState({'a': torch.ones(1)}, {'iteration': 42}))"
    )
    process = holder(tmp_path, "one", wait)
    lines: list[str] = []
    with StateFile.locked(tmp_path, "one", lines.append) as state_file:
        assert process.wait(timeout=60) == 0
        found = state_file.read()
        assert found is not None
        assert found.notes == {"iteration": 42}
        assert not state_file.is_wanted()
    assert len(lines) == 1
    assert f"the same training runs already (process {process.pid} on " in lines[0]


def test_neither_another_training_nor_a_killed_process_is_waited_for(tmp_path: Path) -> None:
    process = holder(tmp_path, "one")
    try:
        with StateFile.locked(tmp_path, "another", never):
            pass
    finally:
        process.kill()
        process.wait()
    with StateFile.locked(tmp_path, "one", never):
        pass


@pytest.mark.parametrize(("days", "kept"), [([at / 3.01 for at in range(25)], 22), ([8 + at for at in range(25)], 20)])
def test_the_newest_20_states_and_all_of_the_last_week_are_kept(tmp_path: Path, days: list[float], kept: int) -> None:
    for at, age in enumerate(days):
        saved(tmp_path, f"{at:02}", age=min(age, 29) * DAY + at)
    prune(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{at:02}.safetensors" for at in range(kept)}


def test_files_that_are_untouched_for_a_month_are_removed(tmp_path: Path) -> None:
    saved(tmp_path, "young", age=29 * DAY)
    saved(tmp_path, "old", age=31 * DAY)
    for name in (".one.safetensors.some-host.17.tmp", "one.holder", "one.wanted", "one.lock", "young.wanted"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, times=(0, 0))
    prune(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {"young.lock"} == {"young.safetensors"}


def test_views_are_removed_after_a_day(tmp_path: Path) -> None:
    for name, days in (("young", 0.9), ("old", 1.1)):
        (tmp_path / f"{name}.views").mkdir()
        (tmp_path / f"{name}.views" / "0.0of1.safetensors").touch()
        os.utime(tmp_path / f"{name}.views", times=(time.time() - days * DAY,) * 2)
    prune(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["young.views"]


def test_the_state_of_a_running_training_is_never_removed(tmp_path: Path) -> None:
    process = holder(tmp_path, "old")
    os.utime(tmp_path / "old.lock", times=(0, 0))
    saved(tmp_path, "old", age=90 * DAY)
    try:
        prune(tmp_path)
        assert states(tmp_path) == {"old"}
        assert (tmp_path / "old.lock").exists()
    finally:
        process.kill()


def test_files_of_another_user_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(lock: FileLock, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    saved(tmp_path, "old", age=31 * DAY)
    monkeypatch.setattr(FileLock, "acquire", forbidden)
    prune(tmp_path)
    assert states(tmp_path) == {"old"}
