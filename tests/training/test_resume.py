"""The state of a training on disk: whole or as it was, held by one process, and gone when nobody needs it."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from ssul.errors import UserError
from ssul.training.resume import StateFile, TrainerState, fingerprint, prune

PROJECT = Path(__file__).parents[2]
STATE = TrainerState(
    {"learned.weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3), "random": torch.arange(5).byte()},
    {"iteration": 7, "points": [{"loss": 0.1 + 0.2}], "hardware": "Größe \u2028 \U0001f600"},
)
DAY = 24 * 60 * 60


def silent(line: str) -> None:
    raise AssertionError(f"told: {line}")


def holder(folder: Path, name: str, what: str) -> "subprocess.Popen[str]":
    """A process that holds a training and then does something with it, as `kept`; it says when it holds it."""
    code = (
        "import sys, time, torch\n"
        "from pathlib import Path\n"
        "from ssul.training.resume import StateFile, TrainerState\n"
        f"with StateFile.held(Path({str(folder)!r}), {name!r}, print) as kept:\n"
        "    print('held', flush=True)\n"
        f"    {what}\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


# --- what is saved ----------------------------------------------------------------------------------------------------


def test_what_was_saved_last_is_read_by_anybody(tmp_path: Path) -> None:
    with StateFile.held(tmp_path, "one", silent) as kept:
        assert kept.read() is None
        kept.save(TrainerState({"learned.weight": torch.ones(4)}, {"iteration": 1}))
        kept.save(STATE)
    found = StateFile(tmp_path, "one").read()
    assert found is not None
    assert found.notes == STATE.notes
    assert found.tensors.keys() == STATE.tensors.keys()
    for name, tensor in found.tensors.items():
        assert tensor.dtype == STATE.tensors[name].dtype
        assert torch.equal(tensor, STATE.tensors[name])
    assert StateFile(tmp_path, "another").read() is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_damaged_state_is_named_with_the_way_out(tmp_path: Path, share: float) -> None:
    kept = StateFile(tmp_path, "one")
    kept.save(STATE)
    content = kept.path("safetensors").read_bytes()
    kept.path("safetensors").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"one\.safetensors of a training is damaged .*: delete it"):
        kept.read()


def test_a_foreign_file_in_its_place_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    kept = StateFile(tmp_path, "one")
    for metadata in (None, {"notes": "{"}, {"notes": "[]"}, {"notes": '{"iteration": NaN}'}):
        save_file({"a": torch.ones(1)}, kept.path("safetensors"), metadata=metadata)
        with pytest.raises(UserError, match="damaged"):
            kept.read()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file grows beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_leaves_what_was_saved_before_and_no_rest(tmp_path: Path) -> None:
    kept = StateFile(tmp_path, "one")
    kept.save(STATE)
    with largest_file(20_000), pytest.raises(OSError, match=r"(?i)too large"):
        kept.save(TrainerState({"learned.weight": torch.ones(10_000)}, {"iteration": 8}))
    found = kept.read()
    assert found is not None
    assert found.notes == STATE.notes
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_state(tmp_path: Path) -> None:
    state = "TrainerState({'weight': torch.full((3_000_000,), float(at))}, {'iteration': at})"
    what = f"[kept.save({state}) for at in range(9999)]"
    torn = 0
    for _ in range(8):
        process = holder(tmp_path, "one", what)
        while not (StateFile(tmp_path, "one").exists() and list(tmp_path.glob(".*.tmp"))):
            assert process.poll() is None
        process.kill()
        process.wait()
        torn += len(list(tmp_path.glob(".*.tmp")))  # what the one before had begun was cleared by this one
        found = StateFile(tmp_path, "one").read()
        assert found is not None
        assert torch.equal(found.tensors["weight"], torch.full((3_000_000,), float(found.notes["iteration"])))
    assert 0 < torn <= 8  # not every one was hit in time


# --- when -------------------------------------------------------------------------------------------------------------


def test_it_is_saved_once_in_so_many_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    kept = StateFile(tmp_path, "one", every=60)
    assert not kept.save_due()
    now += 59
    assert not kept.save_due()
    now += 1
    assert kept.save_due()
    kept.save(STATE)
    assert not kept.save_due()
    now += 60
    assert kept.save_due()


# --- by whom ----------------------------------------------------------------------------------------------------------


def test_who_comes_second_waits_is_told_for_whom_and_takes_over(tmp_path: Path) -> None:
    wait = "\n    ".join(
        [
            "while not kept.is_wanted(): time.sleep(0.01)",
            "kept.save(TrainerState({'a': torch.ones(1)}, {'iteration': 42}))",
        ]
    )
    process, told = holder(tmp_path, "one", wait), []
    with StateFile.held(tmp_path, "one", told.append) as kept:
        assert process.wait(timeout=60) == 0
        found = kept.read()
        assert found is not None
        assert found.notes == {"iteration": 42}
        assert not kept.is_wanted()
    assert len(told) == 1
    assert f"the same training runs already (process {process.pid} on " in told[0]


def test_other_trainings_are_not_waited_for(tmp_path: Path) -> None:
    process = holder(tmp_path, "one", "time.sleep(60)")
    try:
        with StateFile.held(tmp_path, "another", silent):
            pass
    finally:
        process.kill()


def test_who_is_killed_holds_nothing_any_more(tmp_path: Path) -> None:
    process = holder(tmp_path, "one", "time.sleep(60)")
    process.kill()
    process.wait()
    with StateFile.held(tmp_path, "one", silent):
        pass


# --- for how long -----------------------------------------------------------------------------------------------------


def keep(folder: Path, name: str, *, age: float, done: bool) -> StateFile:
    kept = StateFile(folder, name)
    kept.save(STATE)
    if done:
        kept.finish()
    os.utime(kept.path("safetensors"), times=(time.time() - age,) * 2)
    return kept


def test_of_trainings_that_ended_well_the_last_three_states_stay(tmp_path: Path) -> None:
    for age in range(6):
        keep(tmp_path, f"done{age}", age=60.0 * age, done=True)
    keep(tmp_path, "ended", age=3 * DAY, done=False)
    prune(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {"done0", "done1", "done2", "ended"}
    assert {path.stem for path in tmp_path.glob("*.done")} == {"done0", "done1", "done2"}


def test_a_training_that_nobody_goes_on_with_is_forgotten_after_a_month(tmp_path: Path) -> None:
    keep(tmp_path, "ended", age=29 * DAY, done=False)
    keep(tmp_path, "forgotten", age=31 * DAY, done=False)
    prune(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {"ended"}


def test_the_state_of_a_training_that_runs_is_never_removed(tmp_path: Path) -> None:
    keep(tmp_path, "old", age=90 * DAY, done=False)
    process = holder(tmp_path, "old", "time.sleep(60)")
    os.utime(tmp_path / "old.lock", times=(0, 0))
    keep(tmp_path, "old", age=90 * DAY, done=False)
    try:
        prune(tmp_path)
        assert {path.stem for path in tmp_path.glob("*.safetensors")} == {"old"}
        assert (tmp_path / "old.lock").exists()
    finally:
        process.kill()


def test_of_trainings_that_were_ended_the_last_twenty_states_stay_and_all_of_the_last_week(tmp_path: Path) -> None:
    for age in range(25):
        keep(tmp_path, f"ended{age:02}", age=age * DAY / 3.01, done=False)
    prune(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {f"ended{age:02}" for age in range(22)}
    for age in range(25):
        keep(tmp_path, f"ended{age:02}", age=(8 + age / 2) * DAY, done=False)
    prune(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {f"ended{age:02}" for age in range(20)}


def test_what_belongs_to_somebody_else_is_left_and_hinders_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(lock: FileLock, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    keep(tmp_path, "forgotten", age=31 * DAY, done=False)
    monkeypatch.setattr(FileLock, "acquire", forbidden)
    prune(tmp_path)
    assert (tmp_path / "forgotten.safetensors").exists()


def test_a_training_that_saves_again_has_not_ended_any_more(tmp_path: Path) -> None:
    """It ended well once, its state was deleted by hand, and it was ended on the way when it ran again."""
    again = keep(tmp_path, "again", age=0, done=True)
    again.path("safetensors").unlink()
    keep(tmp_path, "again", age=100, done=False)
    for age in range(4):
        keep(tmp_path, f"done{age}", age=age, done=True)
    prune(tmp_path)
    assert again.exists()


def test_what_nobody_has_touched_for_a_month_goes_and_a_fresh_state_beside_it_stays(tmp_path: Path) -> None:
    keep(tmp_path, "fresh", age=0, done=False)
    for name in (".one.safetensors.some-host.17.tmp", "one.holder", "one.wanted", "one.lock", "fresh.wanted"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, times=(0, 0))
    prune(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {"fresh.lock"} == {"fresh.safetensors"}


def test_a_training_that_never_saved_is_not_noted_as_done(tmp_path: Path) -> None:
    StateFile(tmp_path, "short").finish()
    assert not list(tmp_path.iterdir())


# --- which ------------------------------------------------------------------------------------------------------------


def test_a_fingerprint_differs_when_anything_does() -> None:
    weight = torch.arange(6.0)
    nudged = weight.clone()
    nudged[3] = torch.nextafter(nudged[3], torch.tensor(9.0))
    variants = [
        (["bce", 1], {"w": weight}),
        (["bce", 2], {"w": weight}),
        (["bce"], {"w": weight}),
        (["bce", 1], {"w": nudged}),
        (["bce", 1], {"w": weight.reshape(2, 3)}),
        (["bce", 1], {"w": weight.double()}),
        (["bce", 1], {"v": weight}),
        (["bce", 1], {}),
    ]
    found = [fingerprint(*variant) for variant in variants]
    assert len(set(found)) == len(found)
    assert all(len(one) == 64 for one in found)


def test_a_fingerprint_does_not_depend_on_the_order_of_weights_or_their_layout() -> None:
    weight = torch.randn(2, 3, 4, 4)
    laid_out = weight.contiguous(memory_format=torch.channels_last)
    one = fingerprint([1], {"v": weight, "w": torch.ones(2)})
    assert one == fingerprint([1], {"w": torch.ones(2), "v": laid_out})
