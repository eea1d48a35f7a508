"""The loss curve: few points, each the mean of its window, and independent of the machine's speed."""

import json
import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.training.history import TrainingHistory
from ssul.training.loop import TrainingProgress

Loss = Callable[[int], float]


def training(iterations: int, loss: Loss = float, speed: float = 10.0) -> Iterator[TrainingProgress]:
    """A training whose loss and share are functions of the iteration."""
    for at in range(1, iterations + 1):
        parts = {"share": at / 100}
        yield TrainingProgress(at, iterations, loss(at), 1 - at / 1000, speed, parts, capture=pytest.fail)


def empty(iterations: int) -> TrainingHistory:
    return TrainingHistory(1, ("cat", "sheep"), "CPU, 1 thread", images=9, exemplars=2, iterations=iterations)


def history(iterations: int, loss: Loss = float, speed: float = 10.0) -> TrainingHistory:
    made = empty(iterations)
    for progress in training(iterations, loss, speed):
        made.add(progress)
    return made


def window_lengths(iterations: int) -> list[int]:
    ends = [0, *(int(point["iteration"]) for point in history(iterations).points)]
    assert ends[-1] == iterations
    return [after - before for before, after in pairwise(ends)]


def test_a_short_training_has_a_point_for_each_iteration() -> None:
    points = history(3).points
    assert [point["iteration"] for point in points] == [1, 2, 3]
    assert [point["loss"] for point in points] == [1.0, 2.0, 3.0]
    assert points[1] == {"iteration": 2, "loss": 2.0, "lr": 0.998, "share": 0.02}


def test_a_training_that_ends_early_keeps_the_points_that_it_completed() -> None:
    curve = empty(300)
    for _, progress in zip(range(7), training(300), strict=False):
        curve.add(progress)
    assert [point["iteration"] for point in curve.describe()["points"]] == [3, 6]


def test_a_point_is_the_mean_of_its_window_and_the_rate_at_its_end() -> None:
    points = history(250).points  # windows of three, the last is one iteration
    assert len(points) == 84
    assert points[0] == {"iteration": 3, "loss": 2.0, "lr": 0.997, "share": pytest.approx(0.02)}
    assert points[1]["loss"] == 5.0
    assert points[-1] == {"iteration": 250, "loss": 250.0, "lr": 0.75, "share": 2.5}


@given(st.integers(1, 3000))
def test_there_are_at_most_100_points_in_windows_of_one_length(iterations: int) -> None:
    lengths = window_lengths(iterations)
    *full, last = lengths
    assert min(iterations, 50) <= len(lengths) <= 100
    assert len(set(full)) <= 1
    assert last <= max(full, default=last)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400))
def test_each_iteration_counts_once(losses: list[float]) -> None:
    points = history(len(losses), lambda iteration: losses[iteration - 1]).points
    lengths = window_lengths(len(losses))
    total = math.fsum(point["loss"] * length for point, length in zip(points, lengths, strict=True))
    assert total == pytest.approx(math.fsum(losses))


def test_adding_an_iteration_returns_the_point_that_it_completes() -> None:
    curve = empty(250)
    returned = [curve.add(progress) for progress in training(250)]
    assert [at for at, point in enumerate(returned, start=1) if point is not None] == [*range(3, 250, 3), 250]
    assert [point for point in returned if point is not None] == curve.points


def test_the_speed_of_the_machine_changes_nothing() -> None:
    assert history(120, math.sin, speed=1.0).describe() == history(120, math.sin, speed=99.0).describe()


def test_the_description_is_json() -> None:
    assert json.loads(json.dumps(history(2).describe())) == {
        "step": 1,
        "learned": ["cat", "sheep"],
        "hardware": "CPU, 1 thread",
        "images": 9,
        "exemplars": 2,
        "iterations": 2,
        "points": [
            {"iteration": 1, "loss": 1.0, "lr": 0.999, "share": 0.01},
            {"iteration": 2, "loss": 2.0, "lr": 0.998, "share": 0.02},
        ],
    }


@given(st.integers(1, 400), st.data())
def test_a_stored_history_resumes_as_if_it_had_not_been_stored(iterations: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, iterations))
    first, second = empty(iterations), empty(iterations)
    for progress in training(iterations, math.sqrt):
        if progress.iteration == cut + 1:
            second.points, second.window = json.loads(json.dumps([first.points, first.window]))
        (first if progress.iteration <= cut else second).add(progress)
    if cut < iterations:
        assert second.points == history(iterations, math.sqrt).points
