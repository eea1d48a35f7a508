"""The rows of DVC's metrics and plots."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ssul.evaluation.results import Results

SHOWN = ("old", "new", "all", "hiou", "previous", "current", "forgetting")
WITHOUT_BACKGROUND = ("old", "previous", "all")  # these means also exist without the background
SCORES = (*SHOWN, *(f"{name}_without_background" for name in WITHOUT_BACKGROUND), "pixel_accuracy", "average")
HOLDOUT = ("old", "new", "all", "hiou")
_DIGITS = 6  # of numbers in JSON; far below any meaningful difference, and diffs stay small


def heading(score: str) -> str:
    """The name of a score above a column."""
    return "hIoU" if score == "hiou" else score


def learned_classes(names: Sequence[str], group_sizes: Sequence[int]) -> list[tuple[str, ...]]:
    """The classes that each step learned.

    Args:
        names: the classes in learning order, after the background where it is counted.
        group_sizes: number of classes that each step learned.
    """
    classes = iter(names[len(names) - sum(group_sizes) :])
    return [tuple(islice(classes, size)) for size in group_sizes]


def scored_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The background, if some step counts it, and the classes in learning order; rows are `Scores` as dicts."""
    return list(dict.fromkeys(name for row in rows for name in row["iou"]))


def step_rows(results: Results) -> list[dict[str, Any]]:
    """The rows of `per_step` for an evaluation."""
    return per_step(results.rows, learned_classes(results.names, results.group_sizes))


def per_step(rows: Sequence[Mapping[str, Any]], learned: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """One flat row a step, the content of reports/miou_per_step.json.

    Args:
        rows: `Scores` as dicts.
        learned: the classes that each step learned.

    Returns:
        Rows of `step`, `learned` (a list of names) and every score of SCORES in 0..1. An undefined score is None,
        because DVC draws no plot where a key is missing. Where training images are held out, also
        `holdout_old`, `holdout_new`, `holdout_all` and `holdout_hiou`.
    """
    held_out = any(row["holdout"] for row in rows)
    return [
        {"step": row["step"], "learned": list(names)} | _scores(row, held_out=held_out)
        for row, names in zip(rows, learned, strict=True)
    ]


def final_metrics(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The content of reports/metrics.json: scores and IoU of each class after the last step, in 0..1 or None."""
    final = {"step": row["step"]} | _scores(row, held_out=bool(row["holdout"]))
    return {"final": final, "per_class_iou": {name: _rounded(value) for name, value in row["iou"].items()}}


def class_rows(row: Mapping[str, Any], learned: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """The content of reports/class_iou.json: the last IoU (0..1) of each class, and the step that learned it."""
    since = {name: step for step, group in enumerate(learned) for name in group}
    return [
        {"class": name, "iou": _rounded(value), "step": since.get(name, 0)}
        for name, value in row["iou"].items()
        if value is not None
    ]


def training_rows(curves: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The content of reports/training_curve.json: the points of all steps, with consecutive iterations.

    Args:
        curves: training histories (`ssul.training.history`) as dicts, one for each step that was trained.
    """
    rows, before = [], 0
    for curve in curves:
        rows += [
            {"iteration": before + point["iteration"], "step": f"step {curve['step']}", "loss": _rounded(point["loss"])}
            for point in curve["points"]
        ]
        before += curve["iterations"]
    return rows


def absent_classes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Classes that some step has neither in the ground truth nor in a prediction; its means leave them out."""
    return list(dict.fromkeys(name for row in rows for name in row["absent"]))


def _scores(row: Mapping[str, Any], *, held_out: bool) -> dict[str, float | None]:
    scores = {key: _rounded(row[key]) for key in SCORES}
    if held_out:
        scores |= {f"holdout_{key}": _rounded(row["holdout"][key]) if row["holdout"] else None for key in HOLDOUT}
    return scores


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
