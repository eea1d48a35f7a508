"""The numbers of the field, by hand."""

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from ssul.evaluation.scores import Holdout, Scores, harmonic_mean, mean, score_holdout
from ssul.evaluation.scores import score as score_any
from ssul.inference.confusion import ConfusionMatrix
from ssul.labels.background import Background

NAMES = ("background", "cat", "dog", "sheep")
# background 6/10, cat 4/6, dog 2/4, sheep 4/4; 16 of 20 pixels are right
COUNTS = ConfusionMatrix(torch.tensor([[6, 2, 0, 0], [0, 4, 0, 0], [2, 0, 2, 0], [0, 0, 0, 4]]))
BACKGROUND, CAT, DOG, SHEEP = 0.6, 4 / 6, 0.5, 1.0
EVERYTHING = (BACKGROUND + CAT + DOG + SHEEP) / 4


HAS = Background(possible=True, predicted=True)
TAKEN = Background(possible=False, predicted=True)  # asked for where it cannot be right
NEVER = Background(possible=False, predicted=False)


def score(*arguments: Any) -> Scores:
    """Scores of a dataset that has a background."""
    return score_any(*arguments, background=HAS)


def history(*rows: tuple[float, dict[str, float | None]]) -> list[dict[str, Any]]:
    return [{"all": everything, "iou": iou} for everything, iou in rows]


def test_the_per_class_scores_are_named_in_learning_order() -> None:
    scores = score(COUNTS, (3,), NAMES, [])
    assert list(scores.iou) == list(NAMES)
    assert list(scores.iou.values()) == pytest.approx([BACKGROUND, CAT, DOG, SHEEP])
    assert scores.accuracy == pytest.approx({"background": 0.75, "cat": 1.0, "dog": 0.5, "sheep": 1.0})
    assert scores.pixel_accuracy == pytest.approx(0.8)


def test_at_the_base_step_nothing_is_new_nothing_was_before_and_nothing_is_forgotten() -> None:
    scores = score(COUNTS, (3,), NAMES, [])
    assert scores.step == 0
    assert (scores.new, scores.hiou, scores.previous, scores.previous_without_background) == (None,) * 4
    assert scores.forgetting is None
    assert [scores.old, scores.all, scores.current, scores.average] == pytest.approx([EVERYTHING] * 4)
    assert scores.old_without_background == scores.all_without_background == pytest.approx((CAT + DOG + SHEEP) / 3)


def test_after_one_increment_old_is_the_base_with_background_and_new_the_rest() -> None:
    scores = score(COUNTS, (2, 1), NAMES, history((0.9, {"background": 1.0, "cat": 0.9, "dog": 0.5})))
    assert scores.step == 1
    assert scores.old == scores.previous == pytest.approx((BACKGROUND + CAT + DOG) / 3)
    assert scores.new == scores.current == pytest.approx(SHEEP)
    assert scores.hiou == pytest.approx(2 / (3 / (BACKGROUND + CAT + DOG) + 1 / SHEEP))
    assert scores.all == pytest.approx(EVERYTHING)
    assert scores.all_without_background == pytest.approx((CAT + DOG + SHEEP) / 3)
    assert scores.old_without_background == scores.previous_without_background == pytest.approx((CAT + DOG) / 2)


def test_after_two_increments_new_and_previous_overlap_and_forgetting_counts_from_each_classs_best_step() -> None:
    past = history((0.9, {"background": 1.0, "cat": 0.9}), (0.7, {"background": 0.5, "cat": 0.8, "dog": 0.7}))
    scores = score(COUNTS, (1, 1, 1), NAMES, past)
    assert scores.step == 2
    assert scores.old == pytest.approx((BACKGROUND + CAT) / 2)
    assert scores.new == pytest.approx((DOG + SHEEP) / 2)
    assert scores.previous == pytest.approx((BACKGROUND + CAT + DOG) / 3)
    assert scores.current == pytest.approx(SHEEP)
    assert scores.old_without_background == pytest.approx(CAT)
    assert scores.previous_without_background == pytest.approx((CAT + DOG) / 2)
    assert scores.forgetting == pytest.approx(((0.9 - CAT) + (0.7 - DOG)) / 2)  # without the background
    assert scores.average == pytest.approx((0.9 + 0.7 + EVERYTHING) / 3)


def test_forgetting_is_negative_where_an_old_class_got_better() -> None:
    past = history((0.4, {"background": 0.5, "cat": 0.3, "dog": 0.5}))
    assert score(COUNTS, (2, 1), NAMES, past).forgetting == pytest.approx(((0.3 - CAT) + 0) / 2)


def test_a_row_of_one_step_is_history_of_the_next() -> None:
    first = asdict(score(ConfusionMatrix(COUNTS.counts[:3, :3]), (2,), NAMES[:3], []))
    second = score(COUNTS, (2, 1), NAMES, [first])
    assert second.forgetting == pytest.approx(0)
    assert second.average == pytest.approx((first["all"] + EVERYTHING) / 2)


# ---- absent classes -------------------------------------------------------------------------------------------------


def without(*names: str, counts: torch.Tensor = COUNTS.counts) -> ConfusionMatrix:
    """The counts where the named classes are neither there nor predicted."""
    counts = counts.clone()
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
    assert (scores.new, scores.current, scores.hiou, scores.absent) == (None, None, None, ["sheep"])


def test_without_a_single_pixel_nothing_is_scored() -> None:
    scores = score(ConfusionMatrix.empty(4), (3,), NAMES, [])
    assert (scores.all, scores.pixel_accuracy, scores.average) == (None, None, None)
    assert scores.absent == list(NAMES)


# ---- datasets without a background ---------------------------------------------------------------------------------

# No ground truth in row 0, but two of the dog's and one of the sheep's are taken for background:
# cat 4/5, dog 1/4, sheep 4/5; 9 of 13 pixels are right
NO_BACKGROUND = ConfusionMatrix(torch.tensor([[0, 0, 0, 0], [0, 4, 0, 0], [2, 1, 1, 0], [1, 0, 0, 4]]))


def test_classes_alone_are_scored_where_the_background_is_neither_shown_nor_predicted() -> None:
    past = history((0.5, {"cat": 0.9, "dog": 0.5}))
    scores = score_any(NO_BACKGROUND.without_background(), (2, 1), NAMES[1:], past, background=NEVER)
    assert scores.iou == pytest.approx({"cat": 0.8, "dog": 0.5, "sheep": 1.0})
    assert scores.old == scores.previous == scores.old_without_background == pytest.approx((0.8 + 0.5) / 2)
    assert scores.all == scores.all_without_background == pytest.approx((0.8 + 0.5 + 1) / 3)
    assert scores.new == scores.current == 1.0
    assert scores.forgetting == pytest.approx((0.1 + 0.0) / 2)
    assert scores.pixel_accuracy == pytest.approx(9 / 10)
    assert scores.absent == []


def test_a_background_that_is_predicted_but_never_right_is_in_no_mean_and_not_absent() -> None:
    past = history((0.5, {"background": None, "cat": 0.9, "dog": 0.5}))
    scores = score_any(NO_BACKGROUND, (2, 1), NAMES, past, background=TAKEN)
    assert scores.iou == pytest.approx({"background": None, "cat": 0.8, "dog": 0.25, "sheep": 0.8})
    assert scores.old == scores.old_without_background == pytest.approx((0.8 + 0.25) / 2)
    assert scores.previous == scores.previous_without_background == scores.old
    assert scores.all == scores.all_without_background == pytest.approx((0.8 + 0.25 + 0.8) / 3)
    assert scores.new == scores.current == pytest.approx(0.8)
    assert scores.pixel_accuracy == pytest.approx(9 / 13)
    assert scores.absent == []


def test_a_background_that_a_dataset_has_but_never_shows_counts_as_wrongly_predicted() -> None:
    scores = score(NO_BACKGROUND, (2, 1), NAMES, history((0.5, {"cat": 0.9})))
    assert scores.iou["background"] == 0.0
    assert scores.all == pytest.approx((0 + 0.8 + 0.25 + 0.8) / 4)


def test_absent_classes_are_named_without_a_background_too() -> None:
    counts = without("cat", counts=NO_BACKGROUND.counts)
    assert score_any(counts, (3,), NAMES, [], background=TAKEN).absent == ["cat"]
    assert score_any(counts.without_background(), (3,), NAMES[1:], [], background=NEVER).absent == ["cat"]


# ---- held-out images ------------------------------------------------------------------------------------------------


def test_held_out_images_are_scored_by_old_new_all_and_hiou() -> None:
    held_out = score_holdout(COUNTS, (2, 1), NAMES, images=7, background=HAS)
    assert (held_out.images, held_out.new) == (7, SHEEP)
    assert held_out.old == pytest.approx((BACKGROUND + CAT + DOG) / 3)
    assert held_out.all == pytest.approx(EVERYTHING)
    assert held_out.hiou == pytest.approx(2 / (3 / (BACKGROUND + CAT + DOG) + 1 / SHEEP))
    base = score_holdout(COUNTS, (3,), NAMES, images=7, background=HAS)
    assert (base.new, base.hiou) == (None, None)


def test_a_known_class_that_no_held_out_image_shows_is_not_scored_although_it_is_predicted() -> None:
    counts = COUNTS.counts.clone()
    counts[NAMES.index("cat")] = 0
    assert counts[:, NAMES.index("cat")].any()
    learned = score_holdout(ConfusionMatrix(counts), (2, 1), NAMES, images=7, background=HAS)
    known = score_holdout(ConfusionMatrix(counts), (2, 1), NAMES, images=7, background=HAS, known=["cat", "dog"])
    assert learned.old is not None
    assert known.old == pytest.approx(learned.old * 3 / 2)
    assert known.new == learned.new


def test_a_row_holds_the_scores_of_held_out_images_or_none() -> None:
    scores = score(COUNTS, (3,), NAMES, [])
    assert asdict(scores)["holdout"] is None
    row = asdict(replace(scores, holdout=Holdout(2, 0.5, None, 0.25, None)))
    assert row["holdout"] == {"images": 2, "old": 0.5, "new": None, "all": 0.25, "hiou": None}


def test_the_mean_leaves_out_what_is_undefined_but_not_zero() -> None:
    assert mean([0.0, None, 1.0]) == 0.5
    assert mean([None]) is None
    assert mean([]) is None


@pytest.mark.parametrize(
    ("old", "new", "hiou"),
    [(0.75, 0.25, 0.375), (0.5, 0.5, 0.5), (0.8, 0.0, 0.0), (0.0, 0.0, 0.0), (0.8, None, None), (None, 0.8, None)],
)
def test_the_harmonic_mean_is_high_only_where_both_are(
    old: float | None, new: float | None, hiou: float | None
) -> None:
    assert harmonic_mean(old, new) == (None if hiou is None else pytest.approx(hiou))


def test_a_class_that_no_mask_shows_although_images_may_has_no_iou_and_enters_no_mean() -> None:
    scores = score_any(COUNTS, (2, 1), NAMES, [], background=HAS, unscored=["dog"])
    assert scores.iou["dog"] is None
    assert scores.absent == ["dog"]
    assert scores.all == pytest.approx((BACKGROUND + CAT + SHEEP) / 3)
