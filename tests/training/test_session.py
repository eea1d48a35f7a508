"""A resumed training also resumes its history and the best weights so far."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.errors import UserError
from ssul.training.loop import TrainingProgress
from ssul.training.resume import StateFile, TrainerState
from ssul.training.selection import BestWeights
from ssul.training.session import TrainingSession
from ssul.training.state import TrainingState

STATE: Mapping[str, Tensor] = {"learned.weight": torch.ones(2), "momentum.weight": torch.zeros(2)}
Session = Callable[..., TrainingSession]


@pytest.fixture
def lines() -> list[str]:
    """What the sessions log."""
    return []


@pytest.fixture
def session(tmp_path: Path, cpu: Fabric, lines: list[str]) -> Session:
    """Makes sessions of 300 iterations, with one state file, whose loop does not run."""

    def make(*, best: BestWeights | None = None, hardware: str = "CPU, 1 thread", every: float = 60) -> TrainingSession:
        order = SimpleNamespace(new=range(9), memory=())
        unused = {"dataset": None, "augmentation": None, "objective": SimpleNamespace(labels=None)}
        job: Any = SimpleNamespace(step=2, class_names=("cat",), order=order, iterations=300, views=None, **unused)
        made = TrainingSession(job, cpu, 0, 1, StateFile(tmp_path, "one", every=every), lines.append)
        made.history.hardware, made.best = hardware, best
        return made

    return make


def after(iteration: int) -> TrainingProgress:
    state = TrainingState(iteration, STATE)
    return TrainingProgress(iteration, 300, 1 / iteration, 0.1, 9.0, {"share": 0.5}, lambda: state)


def best_of(*scores: float) -> BestWeights:
    given = iter(scores)
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # as in the loop
    return BestWeights(model, lambda: next(given), every=1, include_initial=False)


def test_the_history_resumes_inside_a_window(session: Session, lines: list[str]) -> None:
    uncut, first, second = session(), session(), session()
    assert uncut.resume() is None
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
    assert lines == ["goes on after iteration 100 of 300"]


def test_the_best_weights_resume(session: Session) -> None:
    first, second = best_of(0.5), best_of(0.4, 0.4)
    first.update(1)
    session(best=first).save(after(1))
    session(best=second).resume()
    second.update(2)  # worse than before the cut
    second.restore()
    assert second.score == 0.5
    weights = second.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in first.model.state_dict().items())


def test_the_method_ends_its_step_on_the_best_weights(session: Session) -> None:
    best = best_of(0.5, 0.4)
    best.update(1)
    wanted = {name: 2 * tensor for name, tensor in best.model.state_dict().items()}
    with torch.no_grad():
        for parameter in best.model.parameters():
            parameter += 1  # worse

    def double() -> None:
        for tensor in best.model.state_dict().values():
            tensor.mul_(2)

    one = session(best=best)
    one.job.objective.finish = double  # type: ignore[method-assign]
    one.finish()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in best.model.state_dict().items())


def test_weights_without_a_score_resume_without_one(session: Session) -> None:
    session(best=best_of()).save(after(1))
    best = best_of()
    session(best=best).resume()
    assert (best.score, best.state) == (-1.0, None)


def test_another_device_is_logged_and_recorded(session: Session, lines: list[str]) -> None:
    session(hardware="NVIDIA H100").save(after(100))
    for _ in range(2):  # the second resumes on the same device
        second = session()
        second.resume()
        assert second.history.describe()["hardware"] == "NVIDIA H100, then CPU, 1 thread"
        second.save(after(200))
    assert "NVIDIA H100" in lines[0]
    assert lines[1] == "goes on after iteration 200 of 300"


def test_a_finished_training_says_how_to_train_again(session: Session, lines: list[str]) -> None:
    session(hardware="NVIDIA H100").save(after(300))
    again = session()
    again.resume()
    assert again.history.hardware == "NVIDIA H100"  # nothing was computed here
    assert re.search(r"300 of 300 \(all iterations are done; .*delete .*one\.safetensors", lines[0])


@pytest.mark.parametrize(
    "notes", [{}, {"iteration": 1, "points": 3, "window": [], "hardware": "", "score": None}, {"iteration": 1}]
)
def test_an_incomplete_state_is_refused(session: Session, notes: dict[str, Any]) -> None:
    again = session()
    again.state_file.save(TrainerState(STATE, notes))
    with pytest.raises(UserError, match=r"one\.safetensors is damaged .*: delete it"):
        again.resume()


def test_a_full_disk_is_logged_and_the_training_continues(
    session: Session, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state_file: StateFile, state: TrainerState) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(StateFile, "save", full)
    assert not session().save(after(100))
    assert "iteration 100" in lines[0]
    assert "No space left on device" in lines[0]


def test_a_save_is_due_by_time_and_at_the_end_if_a_process_waits_or_there_is_a_state(session: Session) -> None:
    one = session()
    assert not one.save_due(after(100))
    assert not one.save_due(after(300))
    one.state_file.path("wanted").touch()
    assert not one.save_due(after(100))
    assert one.save_due(after(300))
    one.state_file.path("wanted").unlink()
    one.save(after(100))
    assert not one.save_due(after(200))
    assert one.save_due(after(300))
    assert session(every=0).save_due(after(1))


@pytest.mark.parametrize(("appended", "images", "batches"), [(True, 9, 3), (False, 4, 1)])
def test_a_calibration_looks_at_new_images_and_at_appended_exemplars(
    session: Session, appended: bool, images: int, batches: int
) -> None:
    made, asked = session(), []
    job: Any = made.job
    new, memory = ([TrainingItem(f"{name}{at}", (1,)) for at in range(count)] for name, count in (("n", 4), ("m", 5)))
    job.order = SampleOrder(tuple(new), tuple(memory), batch=4, seed=0, step=2, appended=appended)
    job.objective = SimpleNamespace(to=lambda device: None, calibrate=iter, model=SimpleNamespace(normalisation=None))
    load: Any = lambda order, *, iterations: asked.append((len(order.images), iterations)) or []  # noqa: E731
    made._load = load
    assert list(made.calibrate()) == []
    assert asked == [(images, batches)]
