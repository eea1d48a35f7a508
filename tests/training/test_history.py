"""A training curve: few points, each the mean of its window, and nothing that depends on the machine's speed."""

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
        yield TrainingProgress(
            at, iterations, loss(at), 1 - at / 1000, speed, parts, capture=lambda: pytest.fail("not asked")
        )


def drawn(iterations: int, loss: Loss = float, speed: float = 10.0) -> TrainingHistory:
    curve = TrainingHistory(1, ("cat", "sheep"), "CPU, 1 thread", images=9, exemplars=2, iterations=iterations)
    for progress in training(iterations, loss, speed):
        curve.add(progress)
    return curve


def test_a_short_training_has_a_point_for_each_iteration() -> None:
    points = drawn(3).points
    assert [point["iteration"] for point in points] == [1, 2, 3]
    assert [point["loss"] for point in points] == [1.0, 2.0, 3.0]
    assert points[1] == {"iteration": 2, "loss": 2.0, "lr": 0.998, "share": 0.02}


def test_a_point_is_the_mean_of_its_stretch_and_the_rate_at_its_end() -> None:
    points = drawn(250).points  # stretches of three, the last one is one iteration
    assert len(points) == 84
    assert points[0] == {"iteration": 3, "loss": 2.0, "lr": 0.997, "share": pytest.approx(0.02)}
    assert points[1]["loss"] == 5.0
    assert points[-1] == {"iteration": 250, "loss": 250.0, "lr": 0.75, "share": 2.5}


@given(st.integers(1, 3000))
def test_however_long_a_training_is_it_has_at_most_100_points_and_the_last_is_its_end(iterations: int) -> None:
    at = [0, *(point["iteration"] for point in drawn(iterations).points)]
    assert min(iterations, 50) <= len(at) - 1 <= 100
    assert at[-1] == iterations
    *lengths, last = (after - before for before, after in pairwise(at))
    assert len(set(lengths)) <= 1
    assert last <= max(lengths, default=last)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400))
def test_no_iteration_is_left_out_and_none_counts_twice(losses: list[float]) -> None:
    at = [0, *(point["iteration"] for point in drawn(len(losses)).points)]
    points = drawn(len(losses), lambda iteration: losses[iteration - 1]).points
    lengths = [after - before for before, after in pairwise(at)]
    total = math.fsum(point["loss"] * length for point, length in zip(points, lengths, strict=True))
    assert total == pytest.approx(math.fsum(losses))


def test_whoever_adds_an_iteration_is_told_the_point_that_it_completes() -> None:
    curve = TrainingHistory(0, ("cat",), "CPU", images=1, exemplars=0, iterations=250)
    told = [curve.add(progress) for progress in training(250)]
    assert [at for at, point in enumerate(told, start=1) if point is not None] == [*range(3, 250, 3), 250]
    assert [point for point in told if point is not None] == curve.points


def test_the_same_training_at_another_speed_draws_the_same_curve() -> None:
    assert drawn(120, math.sin, speed=1.0).describe() == drawn(120, math.sin, speed=99.0).describe()


def test_the_description_is_json_that_says_what_was_learned_from_what() -> None:
    content = drawn(2).describe()
    assert json.loads(json.dumps(content)) == {
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


def test_a_training_that_ends_early_keeps_the_points_that_it_completed() -> None:
    curve = TrainingHistory(0, ("cat",), "CPU", images=1, exemplars=0, iterations=300)
    for _, progress in zip(range(7), training(300), strict=False):
        curve.add(progress)
    assert [point["iteration"] for point in curve.describe()["points"]] == [3, 6]


@given(st.integers(1, 400), st.data())
def test_a_curve_that_is_stored_on_the_way_is_drawn_on_as_if_it_had_not_been(
    iterations: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, iterations))
    first, second = (TrainingHistory(1, (), "CPU", images=1, exemplars=0, iterations=iterations) for _ in range(2))
    for progress in training(iterations, math.sqrt):
        if progress.iteration == cut + 1:
            second.points, second.window = json.loads(json.dumps([first.points, first.window]))
        if progress.iteration <= cut:
            first.add(progress)
        else:
            second.add(progress)
    if cut < iterations:
        assert second.points == drawn(iterations, math.sqrt).points
