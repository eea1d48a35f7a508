"""Names and points of MLflow metrics."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_METRICS = {
    "miou_old": "old",
    "miou_new": "new",
    "miou_all": "all",
    "hiou": "hiou",
    "miou_previous": "previous",
    "miou_current": "current",
    "miou_old_without_background": "old_without_background",
    "miou_all_without_background": "all_without_background",
    "miou_previous_without_background": "previous_without_background",
    "pixel_accuracy": "pixel_accuracy",
    "forgetting": "forgetting",
    "average": "average",
}
BELOW_1_PERCENT = "old_below_1_percent"
"""A count: the classes of the base step, background included, whose IoU is below 1 %; a mean hides them."""
_LONGEST_NAME = 250  # MLflow's limit
_DIGITS = 6  # far below any meaningful difference; keeps MLflow's columns narrow

MetricPoint = tuple[str, int, float]
"""Metric, step, value."""


def metric_points(rows: Sequence[Mapping[str, Any]]) -> list[MetricPoint]:
    """All defined numbers of the rows as (metric, step, value in 0..1); per class they are named `per_class_iou/CLASS`.

    Beside the scores stands the count BELOW_1_PERCENT.

    Args:
        rows: `Scores` as dicts, one a step.
    """
    classes = metric_names(dict.fromkeys(name for row in rows for name in row["iou"]))
    points = []
    for row in rows:
        values = {key: row[score] for key, score in _METRICS.items()}
        if row["holdout"] is not None:
            values |= {f"holdout_miou_{key}": row["holdout"][key] for key in ("old", "new", "all")}
            values["holdout_hiou"] = row["holdout"]["hiou"]
        values |= {classes[name]: value for name, value in row["iou"].items()}
        values[BELOW_1_PERCENT] = sum(
            row["iou"][name] is not None and row["iou"][name] < 0.01 for name in rows[0]["iou"] if name in row["iou"]
        )
        points += [
            (key, row["step"], round(float(value), _DIGITS)) for key, value in values.items() if value is not None
        ]
    return points


def curve_points(points: Iterable[Mapping[str, float]]) -> list[MetricPoint]:
    """The points of a training curve, at step = iteration."""
    return [
        (key, int(point["iteration"]), float(value))
        for point in points
        for key, value in point.items()
        if key != "iteration"
    ]


def metric_names(classes: Iterable[str]) -> dict[str, str]:
    """The metric name of each class: characters that MLflow refuses become `_`, and names stay distinct."""
    names: dict[str, str] = {}
    for name in classes:
        plain = re.sub(r"[^\w\- .]", "_", name)[: _LONGEST_NAME - 20]
        key = f"per_class_iou/{plain if plain.strip('. ') else plain.replace('.', '_')}"
        names[name] = key if key not in names.values() else f"{key}_{len(names)}"
    return names
