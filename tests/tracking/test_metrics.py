"""Scores and curves as points of MLflow, under names that MLflow accepts."""

import re

from ssul.tracking.metrics import curve_points, metric_names, metric_points
from tests.tracking.examples import CURVES, ROWS, SCORES


def test_every_defined_score_is_one_point_with_six_digits() -> None:
    points = metric_points(ROWS)
    assert {("miou_new", 1, 0.25), ("hiou", 1, 0.25)} <= set(points)
    assert ("per_class_iou/cat", 1, 0.0) in points
    assert [one for one in points if one[0] == "old_below_1_percent"] == [
        ("old_below_1_percent", 0, 0),
        ("old_below_1_percent", 1, 1),
    ]
    places = [(key, step) for key, step, _ in points]
    assert not {("miou_new", 0), ("hiou", 0), ("per_class_iou/cat", 0)} & set(places)
    assert len(set(places)) == len(places)
    assert len({key for key, _ in places}) == len(SCORES) + 3  # a class, the background, how many are below 1 %
    assert ("miou_all", 1, 0.333333) in metric_points([ROWS[1] | {"all": 1 / 3}])


def test_scores_on_held_out_images_are_points() -> None:
    held_out = {"images": 9, "old": 0.5, "new": 0.25, "all": 0.75, "hiou": 1 / 3}
    usual = {key for key, _, _ in metric_points(ROWS)}
    points = metric_points([ROWS[1] | {"holdout": held_out}])
    assert {key for key, _, _ in points} - usual == {
        "holdout_miou_old",
        "holdout_miou_new",
        "holdout_miou_all",
        "holdout_hiou",
    }
    assert {("holdout_miou_all", 1, 0.75), ("holdout_hiou", 1, 0.333333)} <= set(points)


def test_class_names_become_distinct_metrics_that_mlflow_accepts() -> None:
    names = metric_names(["cat", "a/b", "a_b", "..", "$x&y", "x" * 400])
    assert len(set(names.values())) == 6
    assert names["cat"] == "per_class_iou/cat"
    assert all(re.fullmatch(r"per_class_iou/[\w\-. ]+", name) and len(name) <= 250 for name in names.values())


def test_a_curves_numbers_are_points_at_their_iteration() -> None:
    expected = [("loss", 10, 0.75), ("lr", 10, 0.1), ("loss", 20, 0.5), ("lr", 20, 0.1)]
    assert curve_points(CURVES[1]["points"]) == expected
