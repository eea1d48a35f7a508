"""The scores that an evaluation leaves on disk."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ssul.errors import UserError
from ssul.evaluation.results import Results
from ssul.evaluation.scores import Scores


def row(**scores: Any) -> dict[str, Any]:
    """A row of scores of which most are undefined."""
    return dict.fromkeys(one.name for one in fields(Scores)) | {"iou": {}, "accuracy": {}, "absent": []} | scores


RESULTS = Results(
    data_set="shapes",
    has_background=True,
    names=("background", "ball", "Ähre"),
    group_sizes=(1, 1),
    images=12,
    rows=(
        row(step=0, all=0.5, iou={"ball": 1 / 3}),
        row(step=1, all=0.25, new=0.125, holdout={"images": 3, "old": 0.5, "new": None, "all": 1.0, "hiou": None}),
    ),
    confusion=((2**53 + 1, 0, 1), (0, 2, 0), (0, 0, 3)),
)


def test_results_read_back_as_they_were_written_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    RESULTS.write(tmp_path)
    first = (tmp_path / "results.json").read_bytes()
    assert Results.read(tmp_path) == RESULTS
    Results.read(tmp_path).write(tmp_path)
    assert (tmp_path / "results.json").read_bytes() == first


def test_missing_results_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step_3.results\.json is missing"):
        Results.read(tmp_path / "step_3")
