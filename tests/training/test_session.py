"""What a training knows beside its network goes on too: its curve, and the best weights on the way."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ssul.errors import UserError
from ssul.training.loop import TrainingProgress
from ssul.training.resume import StateFile, TrainerState
from ssul.training.selection import BestWeights
from ssul.training.session import TrainingSession
from ssul.training.state import TrainingState

STATE: Mapping[str, Tensor] = {"learned.weight": torch.ones(2), "momentum.weight": torch.zeros(2)}


def session(
    folder: Path,
    log: Callable[[str], None] = print,
    *,
    best: BestWeights | None = None,
    hardware: str = "CPU, 1 thread",
    every: float = 60,
) -> TrainingSession:
    """A session of 300 iterations whose loop does not run."""
    order = SimpleNamespace(new=range(9), memory=())
    job = SimpleNamespace(step=2, class_names=("cat",), order=order, iterations=300)
    fabric = Fabric(accelerator="cpu", devices=1)
    made = TrainingSession(job, fabric, 0, 1, StateFile(folder, "one", every=every), log)  # type: ignore[arg-type]
    made.history.hardware = hardware
    made.best = best
    return made


def after(iteration: int) -> TrainingProgress:
    return TrainingProgress(
        iteration, 300, 1 / iteration, 0.1, 9.0, {"share": 0.5}, lambda: TrainingState(iteration, STATE)
    )


def judged(*scores: float) -> BestWeights:
    told = iter(scores)
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # as the loop lays networks out
    return BestWeights(model, lambda: next(told), every=1, include_initial=False)


def test_without_a_state_a_training_begins(tmp_path: Path) -> None:
    assert session(tmp_path).resume() is None


def test_a_curve_goes_on_in_the_middle_of_a_stretch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uncut, first, second = (session(tmp_path) for _ in range(3))
    for iteration in range(1, 301):
        uncut.history.add(after(iteration))
    for iteration in range(1, 101):
        first.history.add(after(iteration))
    first.save(after(100))
    state = second.resume()
    assert state is not None
    assert state.iteration == 100
    assert state.tensors.keys() == STATE.keys()
    for iteration in range(101, 301):
        second.history.add(after(iteration))
    assert second.history.describe() == uncut.history.describe()
    assert "goes on after iteration 100 of 300\n" in capsys.readouterr().out


def test_the_best_weights_on_the_way_go_on(tmp_path: Path) -> None:
    first = judged(0.5)
    first.update(1)
    session(tmp_path, best=first).save(after(1))
    second = judged(0.4, 0.4)
    session(tmp_path, best=second).resume()
    second.update(2)  # worse than the best before the cut
    second.restore()
    assert second.score == 0.5
    assert all(
        torch.equal(tensor, second.model.state_dict()[name]) for name, tensor in first.model.state_dict().items()
    )


def test_weights_that_were_never_judged_go_on_so(tmp_path: Path) -> None:
    session(tmp_path, best=judged()).save(after(1))
    best = judged()
    session(tmp_path, best=best).resume()
    assert (best.score, best.state) == (-1.0, None)


def test_going_on_elsewhere_is_told_and_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session(tmp_path, hardware="NVIDIA H100").save(after(100))
    for _ in range(2):  # going on where it was is nothing to note
        second = session(tmp_path)
        second.resume()
        assert second.history.describe()["hardware"] == "NVIDIA H100, then CPU, 1 thread"
        second.save(after(200))
    told = capsys.readouterr().out
    assert "goes on after iteration 100 of 300 (begun on NVIDIA H100: rounding may differ)\n" in told
    assert "goes on after iteration 200 of 300\n" in told


def test_a_training_that_has_learned_all_says_how_to_learn_it_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session(tmp_path, hardware="NVIDIA H100").save(after(300))
    again = session(tmp_path)
    again.resume()
    assert again.history.hardware == "NVIDIA H100"  # nothing was done here
    message = r"300 of 300 \(all iterations are done; to train them again, delete .*one\.safetensors\)\n"
    assert re.search(message, capsys.readouterr().out)


@pytest.mark.parametrize(
    "notes", [{}, {"iteration": 1, "points": 3, "window": [], "hardware": "", "score": None}, {"iteration": 1}]
)
def test_a_state_that_lacks_something_is_refused(tmp_path: Path, notes: dict[str, Any]) -> None:
    StateFile(tmp_path, "one").save(TrainerState(STATE, notes))
    with pytest.raises(UserError, match=r"one\.safetensors is damaged .*: delete it"):
        session(tmp_path).resume()


def test_a_disk_that_takes_nothing_is_told_of_and_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(kept: StateFile, state: TrainerState) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(StateFile, "save", full)
    assert not session(tmp_path).save(after(100))
    told = capsys.readouterr().out
    assert "the state after iteration 100 cannot be saved (No space left on device): none is kept" in told


def test_it_is_saved_in_time_and_at_the_end_if_somebody_waits(tmp_path: Path) -> None:
    one = session(tmp_path)
    assert not one.save_due(after(100))
    assert not one.save_due(after(300))
    one.state_file.path("wanted").touch()
    assert not one.save_due(after(100))
    assert one.save_due(after(300))
    one.state_file.path("wanted").unlink()
    one.save(after(100))
    assert not one.save_due(after(200))
    assert one.save_due(after(300))  # a long one
    assert session(tmp_path, every=0).save_due(after(1))
