"""`ssul browse` before a run, after it, and after a change of the parameters."""

import sys
from pathlib import Path

import pytest

from tests.pipeline.clone import Clone, Outcome, succeeded

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]


def browse(clone: Clone, *words: str) -> Outcome:
    return clone.command(sys.executable, "-m", "ssul", "browse", *words)


def test_a_folder_without_a_project_or_without_splits_is_refused_with_the_way_out(fresh: Clone, tmp_path: Path) -> None:
    for place, way_out in ((Clone(tmp_path), "go to the project's folder"), (fresh, "run `dvc repro splits`")):
        outcome = browse(place)
        assert outcome.code == 1
        assert outcome.text.startswith("error: ")
        assert outcome.text.count("\n") == 1
        assert way_out in outcome.text


def test_after_a_run_a_step_is_shown_whole(clone: Clone, first: Outcome) -> None:
    outcome = succeeded(browse(clone, "--step", "2", "--images", "6"))
    assert "left out" not in outcome.text
    page = (clone.root / "reports" / "browse_step_2.html").read_text(encoding="utf-8")
    assert "What step 2 is trained on: kite, gem" in page
    assert "with pseudo-labels</th>" in page
    assert '"place":"iteration 2, slot 2"' in page
    assert clone.command("git", "status", "--short", "reports").text.count("browse") == 0


def test_what_other_parameters_made_is_left_out_and_a_step_that_there_is_not_is_refused(
    clone: Clone, first: Outcome
) -> None:
    params = clone.root / "params.yaml"
    before = params.read_text(encoding="utf-8")
    params.write_text(before.replace("capacity: 0", "capacity: 3").replace("crop: 48", "crop: 40"), encoding="utf-8")
    text = succeeded(browse(clone, "--step", "1", "--images", "2", "--out", "samples.html")).text
    reason = "are left out: data/checkpoints/step_0 was made with recipe.crop=48, but params.yaml has 40"
    assert f"The exemplars, which take a part of each batch, {reason}" in text
    assert f"The pseudo-labels of the network after step 0 {reason}" in text
    assert "40 px" in (clone.root / "samples.html").read_text(encoding="utf-8")
    params.write_text(before, encoding="utf-8")
    assert "--step is 3, but shapes_6-2 has the steps 0..2" in browse(clone, "--step", "3").text
