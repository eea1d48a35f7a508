"""Scores and curves as MLflow's points: what is defined, under names that MLflow takes."""

import re

from ssul.tracking.metrics import curve_points, metric_names, metric_points
from tests.tracking.examples import CURVES, ROWS, SCORES


def test_undefined_numbers_are_no_points() -> None:
    points = metric_points(ROWS)
    assert ("miou_new", 1, 0.25) in points
    assert ("iou/cat", 1, 0.0) in points
    assert not {("miou_new", 0), ("iou/cat", 0)} & {(key, step) for key, step, _ in points}


def test_every_score_and_those_of_held_out_images_are_points() -> None:
    held_out = {"images": 9, "old": 0.5, "new": None, "all": 0.75}
    keys = {key for key, _, _ in metric_points(ROWS)}
    with_holdout = {(key, value) for key, _, value in metric_points([ROWS[1] | {"holdout": held_out}])}
    assert len(keys) == len(SCORES) + 2  # and a class and the background
    assert {key for key, _ in with_holdout} - keys == {"holdout_miou_old", "holdout_miou_all"}
    assert ("holdout_miou_all", 0.75) in with_holdout


def test_scores_have_the_six_digits_of_the_reports() -> None:
    assert ("miou_all", 1, 0.333333) in metric_points([ROWS[1] | {"all": 1 / 3}])


def test_no_metric_has_two_values_at_a_step() -> None:
    places = [(key, step) for key, step, _ in metric_points(ROWS)]
    assert len(set(places)) == len(places)


def test_class_names_become_metrics_that_mlflow_takes_and_stay_apart() -> None:
    names = metric_names(["cat", "a/b", "a_b", "..", "$x&y", "x" * 400])
    assert len(set(names.values())) == 6
    assert names["cat"] == "iou/cat"
    assert all(re.fullmatch(r"iou/[\w\-. ]+", name) and len(name) <= 250 for name in names.values())


def test_a_curves_numbers_are_points_at_their_iteration() -> None:
    assert curve_points(CURVES[1]["points"]) == [
        ("loss", 10, 0.75),
        ("lr", 10, 0.1),
        ("loss", 20, 0.5),
        ("lr", 20, 0.1),
    ]
