"""Which weights a step keeps: those with the best score, and how the score is computed."""

from typing import Any

import pytest
import torch
from torch import nn

from ssul.labels.space import LabelSpace
from ssul.training.selection import BestWeights, published_interval, step_miou


def counter() -> nn.Linear:
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    return model


def best_of(model: nn.Module, *scores: float, every: int, include_initial: bool = True) -> BestWeights:
    given = iter(scores)
    return BestWeights(model, lambda: next(given), every=every, include_initial=include_initial)


def kept(iterations: int, *scores: float, every: int, include_initial: bool = True) -> float:
    """Trains a weight that counts the iterations; returns the value that was kept."""
    model = counter()
    best = best_of(model, *scores, every=every, include_initial=include_initial)
    for iteration in range(1, iterations + 1):
        nn.init.constant_(model.weight, iteration)
        best.update(iteration)
    best.restore()
    assert best.score == max(scores, default=-1.0)
    return model.weight.item()


@pytest.mark.parametrize(
    ("iterations", "every", "scores", "weight"),
    [
        pytest.param(7, 2, (0.1, 0.4, 0.3), 4.0, id="the best of the scores after 2, 4 and 6 iterations"),
        pytest.param(3, 1, (0.4, 0.4, 0.1), 1.0, id="the first of equal scores"),
        pytest.param(9, 5, (0.0,), 5.0, id="the worst score rather than none"),
        pytest.param(99, 100, (), 0.0, id="the initial weights if there is no score"),
    ],
)
def test_the_best_weights_are_kept(iterations: int, every: int, scores: tuple[float, ...], weight: float) -> None:
    assert kept(iterations, *scores, every=every) == weight


@pytest.mark.parametrize(
    ("every", "scores", "weight"), [(3, (0.3, 0.1, 0.5), 7.0), (3, (0.3, 0.1, 0.2), 3.0), (100, (0.0,), 7.0)]
)
def test_without_the_initial_weights_the_last_ones_count_too(
    every: int, scores: tuple[float, ...], weight: float
) -> None:
    assert kept(7, *scores, every=every, include_initial=False) == weight


def test_a_training_without_a_score_says_so() -> None:
    assert "fewer than 100 iterations" in str(best_of(counter(), every=100))


def test_statistics_are_kept_with_the_weights() -> None:
    model = nn.BatchNorm1d(1)
    best = best_of(model, 0.5, 0.1, every=1)
    model(torch.tensor([[1.0], [3.0]]))
    best.update(1)
    mean = model.running_mean.clone()  # type: ignore[union-attr]
    model(torch.tensor([[5.0], [9.0]]))
    best.update(2)
    best.restore()
    assert torch.equal(model.running_mean, mean)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("iterations", "every"), [(1, 100), (99, 100), (9_999, 100), (10_100, 101), (16_550, 165), (20_000, 200)]
)
def test_the_published_interval_is_a_hundredth_of_the_iterations_but_at_least_100(iterations: int, every: int) -> None:
    assert published_interval(iterations) == every


LABELS = LabelSpace(((3,), (1, 2)), unknown=True, activation="sigmoid")  # channels [unknown][background][3][1][2]
CHANNELS = {0: 1, 3: 2, 1: 3, 2: 4}


def score(
    dataset_of: type, sees_red: type, content: dict[str, Any], new: tuple[int, ...], *, base: bool, in_data: bool = True
) -> float:
    model = sees_red(CHANNELS, 5).train()
    model.device = nn.Parameter(torch.zeros(()))  # a parameter, as a network has
    found = step_miou(model, LABELS, dataset_of(content), list(content), new=new, background=in_data, base=base)
    assert model.training
    return found


def test_the_score_of_a_step_by_hand(dataset_of: type, sees_red: type) -> None:
    content = {
        # predicted, and the mask: an old class (3) and a future one (7) count as background; void does not count
        "a": ([[1, 1, 0, 0, 2, 2]], [[1, 3, 0, 7, 2, 255]]),
        "b": ([[1, 0]], [[1, 1]]),
    }
    of_1, of_2 = 2 / 4, 1 / 1  # 1: two hits, one on an old class, one missed
    of_0 = 2 / 4  # two hits, one predicted as class 1, one of class 1 predicted as background
    assert score(dataset_of, sees_red, content, (1, 2), base=False) == pytest.approx((of_1 + of_2) / 2)
    assert score(dataset_of, sees_red, content, (1, 2), base=True) == pytest.approx((of_0 + of_1 + of_2) / 3)


def test_a_predicted_old_class_takes_pixels_from_the_background(dataset_of: type, sees_red: type) -> None:
    content = {"a": ([[3, 0, 1]], [[3, 0, 1]])}
    assert score(dataset_of, sees_red, content, (1,), base=True) == pytest.approx((1 / 2 + 1) / 2)


def test_an_absent_class_counts_as_0(dataset_of: type, sees_red: type) -> None:
    content = {"a": ([[1, 0]], [[1, 0]])}
    assert score(dataset_of, sees_red, content, (1, 2), base=False) == pytest.approx(1 / 2)


@pytest.mark.parametrize("base", [True, False])
def test_without_a_background_the_classes_compete_alone_and_later_ones_are_left_out(
    dataset_of: type, sees_red: type, base: bool
) -> None:
    """What looks like background gets the first class, 3."""
    content = {"a": ([[3, 0, 1, 2, 2]], [[3, 1, 1, 2, 7]])}
    of_1, of_2 = 1 / 2, 1 / 1
    found = score(dataset_of, sees_red, content, (1, 2), base=base, in_data=False)
    assert found == pytest.approx((of_1 + of_2) / 2)
