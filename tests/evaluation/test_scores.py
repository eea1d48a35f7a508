"""The numbers of the field, by hand."""

from dataclasses import asdict
from typing import Any

import pytest
import torch

from ssul.evaluation.confusion import ConfusionMatrix
from ssul.evaluation.scores import mean, score

NAMES = ("background", "cat", "dog", "sheep")
# background 6/10, cat 4/6, dog 2/4, sheep 4/4; 16 of 20 pixels are right
COUNTS = ConfusionMatrix(torch.tensor([[6, 2, 0, 0], [0, 4, 0, 0], [2, 0, 2, 0], [0, 0, 0, 4]]))
BACKGROUND, CAT, DOG, SHEEP = 0.6, 4 / 6, 0.5, 1.0
EVERYTHING = (BACKGROUND + CAT + DOG + SHEEP) / 4


def history(*rows: tuple[float, dict[str, float | None]]) -> list[dict[str, Any]]:
    return [{"all": everything, "iou": iou} for everything, iou in rows]


def test_the_per_class_scores_are_named_in_learning_order() -> None:
    scores = score(COUNTS, (3,), NAMES, [])
    assert list(scores.iou) == list(NAMES)
    assert list(scores.iou.values()) == pytest.approx([BACKGROUND, CAT, DOG, SHEEP])
    assert scores.accuracy == pytest.approx({"background": 0.75, "cat": 1.0, "dog": 0.5, "sheep": 1.0})
    assert scores.pixel_accuracy == pytest.approx(0.8)


def test_at_the_base_step_there_is_nothing_new_nothing_before_and_nothing_forgotten() -> None:
    scores = score(COUNTS, (3,), NAMES, [])
    assert scores.step == 0
    assert (scores.new, scores.previous, scores.forgetting) == (None, None, None)
    assert [scores.old, scores.all, scores.current, scores.average] == pytest.approx([EVERYTHING] * 4)


def test_after_one_increment_old_is_the_base_with_background_and_new_the_rest() -> None:
    scores = score(COUNTS, (2, 1), NAMES, history((0.9, {"background": 1.0, "cat": 0.9, "dog": 0.5})))
    assert scores.step == 1
    assert scores.old == scores.previous == pytest.approx((BACKGROUND + CAT + DOG) / 3)
    assert scores.new == scores.current == pytest.approx(SHEEP)
    assert scores.all == pytest.approx(EVERYTHING)
    assert scores.all_without_background == pytest.approx((CAT + DOG + SHEEP) / 3)


def test_after_two_increments_new_and_previous_overlap_in_what_the_first_taught() -> None:
    past = history((0.9, {"background": 1.0, "cat": 0.9}), (0.7, {"background": 0.5, "cat": 0.8, "dog": 0.7}))
    scores = score(COUNTS, (1, 1, 1), NAMES, past)
    assert scores.step == 2
    assert scores.old == pytest.approx((BACKGROUND + CAT) / 2)
    assert scores.new == pytest.approx((DOG + SHEEP) / 2)
    assert scores.previous == pytest.approx((BACKGROUND + CAT + DOG) / 3)
    assert scores.current == pytest.approx(SHEEP)


def test_forgetting_is_measured_from_each_old_classs_best_step_without_background() -> None:
    past = history((0.9, {"background": 1.0, "cat": 0.9}), (0.7, {"background": 0.5, "cat": 0.8, "dog": 0.7}))
    scores = score(COUNTS, (1, 1, 1), NAMES, past)
    assert scores.forgetting == pytest.approx(((0.9 - CAT) + (0.7 - DOG)) / 2)


def test_forgetting_is_negative_where_an_old_class_got_better() -> None:
    past = history((0.4, {"background": 0.5, "cat": 0.3, "dog": 0.5}))
    assert score(COUNTS, (2, 1), NAMES, past).forgetting == pytest.approx(((0.3 - CAT) + 0) / 2)


def test_the_average_is_over_all_steps_so_far() -> None:
    past = history((0.9, {"cat": 0.9}), (0.7, {"cat": 0.8, "dog": 0.7}))
    assert score(COUNTS, (1, 1, 1), NAMES, past).average == pytest.approx((0.9 + 0.7 + EVERYTHING) / 3)


def test_a_row_of_one_step_is_history_of_the_next() -> None:
    first = asdict(score(ConfusionMatrix(COUNTS.counts[:3, :3]), (2,), NAMES[:3], []))
    second = score(COUNTS, (2, 1), NAMES, [first])
    assert second.forgetting == pytest.approx(0)
    assert second.average == pytest.approx((first["all"] + EVERYTHING) / 2)


# ---- absent classes -------------------------------------------------------------------------------------------------


def without(*names: str) -> ConfusionMatrix:
    """COUNTS where the named classes are neither there nor predicted."""
    counts = COUNTS.counts.clone()
    for name in names:
        counts[NAMES.index(name)] = 0
        counts[:, NAMES.index(name)] = 0
    return ConfusionMatrix(counts)


def test_absent_classes_are_named_and_left_out_of_every_mean() -> None:
    scores = score(without("dog"), (2, 1), NAMES, history((0.9, {"background": 1.0, "cat": 0.9, "dog": 0.5})))
    assert scores.absent == ["dog"]
    assert scores.iou["dog"] is None
    background, cat = 6 / 8, 4 / 6
    assert scores.old == pytest.approx((background + cat) / 2)
    assert scores.all == pytest.approx((background + cat + SHEEP) / 3)
    assert scores.forgetting == pytest.approx(0.9 - cat)


def test_a_class_that_was_absent_before_is_not_forgotten() -> None:
    scores = score(COUNTS, (2, 1), NAMES, history((0.9, {"background": 1.0, "cat": 0.9, "dog": None})))
    assert scores.forgetting == pytest.approx(0.9 - CAT)


def test_a_step_whose_classes_are_absent_has_no_score_for_them() -> None:
    scores = score(without("sheep"), (2, 1), NAMES, history((0.9, {"cat": 0.9})))
    assert (scores.new, scores.current, scores.absent) == (None, None, ["sheep"])


def test_without_a_single_pixel_nothing_is_scored() -> None:
    scores = score(ConfusionMatrix.empty(4), (3,), NAMES, [])
    assert (scores.all, scores.pixel_accuracy, scores.average) == (None, None, None)
    assert scores.absent == list(NAMES)


def test_the_mean_leaves_out_what_is_undefined_but_not_nought() -> None:
    assert mean([0.0, None, 1.0]) == 0.5
    assert mean([None]) is None
    assert mean([]) is None
