"""The whole pipeline through real `dvc`: what runs again when something changes, what comes back, and what does not.

The tests of this module run in order over one clone.
"""

import json
from pathlib import Path

import pytest

from tests.pipeline.clone import INCREMENTS, Clone, Outcome, digest, rows, succeeded

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]


def test_a_parameter_that_changes_nothing_in_an_output_runs_nothing_after_it(clone: Clone, first: Outcome) -> None:
    """Without a memory there is nothing to choose."""
    outcome = succeeded(clone.experiment("memory.strategy=random"))
    assert sorted(outcome.ran) == ["report", "select_memory@1", "select_memory@2"]


def test_a_memory_retrains_the_increments_and_not_the_base(clone: Clone, base: dict[str, str]) -> None:
    outcome = succeeded(clone.experiment("memory.capacity=4"))
    assert sorted(outcome.ran) == sorted([*INCREMENTS, "report"])
    assert digest(clone.root / "data" / "checkpoints" / "step_0") == base
    assert len(json.loads((clone.root / "data" / "memory" / "step_2.json").read_text())) == 4


def test_another_increment_over_the_same_base_does_not_train_it_again(clone: Clone, base: dict[str, str]) -> None:
    outcome = succeeded(clone.experiment("scenario.increment=4"))
    assert "train_base" not in outcome.ran
    assert "train_step@1" in outcome.ran
    assert [row["step"] for row in rows(clone)] == [0, 1]
    assert digest(clone.root / "data" / "checkpoints" / "step_0") == base


def test_returning_to_an_earlier_experiment_restores_it_and_leaves_no_stale_step(
    clone: Clone, base: dict[str, str]
) -> None:
    reports = clone.root / "reports"
    for override, ran, steps in (
        ((), ["report"], 3),  # its outputs are committed, not cached
        (("scenario.increment=4",), ["report"], 2),
    ):
        assert succeeded(clone.experiment(*override)).ran == ran
        assert [row["step"] for row in rows(clone)] == list(range(steps))
        assert json.loads((reports / "metrics.json").read_text())["final"]["step"] == steps - 1
        curve = json.loads((reports / "training_curve.json").read_text())
        assert list(dict.fromkeys(row["step"] for row in curve)) == [f"step {step}" for step in range(steps)]
        assert {row["step"] for row in json.loads((reports / "class_iou.json").read_text())} <= set(range(steps))
        page = (reports / "index.md").read_text(encoding="utf-8")
        assert f"| {steps - 1} |" in page
        assert f"| {steps} |" not in page.split("## Class by class")[0]


def test_joint_training_is_a_scenario_without_increments_and_of_another_base(
    clone: Clone, base: dict[str, str]
) -> None:
    outcome = succeeded(clone.experiment("scenario=shapes_offline", "method=finetune"))
    assert "train_base" in outcome.ran
    assert [stage for stage in outcome.ran if "@" in stage] == []
    assert [row["step"] for row in rows(clone)] == [0]
    assert digest(clone.root / "data" / "checkpoints" / "step_0") != base


def test_after_another_base_the_first_one_comes_back_from_the_run_cache(clone: Clone, base: dict[str, str]) -> None:
    back = succeeded(clone.experiment())
    assert "train_base" in back.restored
    assert back.ran == ["report"]
    assert digest(clone.root / "data" / "checkpoints" / "step_0") == base


def test_images_at_another_place_do_not_retrain(clone: Clone, base: dict[str, str], tmp_path: Path) -> None:
    moved = tmp_path / "moved images"
    succeeded(clone.command("cp", "-r", str(clone.root / "data" / "drawn"), str(moved)))
    outcome = succeeded(clone.experiment(f"data.root='{moved}'"))
    assert sorted(outcome.ran) == ["prepare", "report"]
