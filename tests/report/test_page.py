"""The page: what it says, and that nothing on it can go wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssul.config.naming import RunName
from ssul.evaluation.results import Results
from ssul.report.page import write_page
from ssul.report.rows import SCORES

PROJECT = Path(__file__).parents[2]
SUBJECT = RunName(scenario="voc_15-1", setting="overlapped", method="ssul-m", model="mobilenet_v2")
FIGURES = ["class_iou.png", "confusion.png", "miou_per_step.png", "pictures.png"]


def row(step: int, iou: dict[str, float | None], **scores: float) -> dict[str, Any]:
    absent = [name for name, value in iou.items() if value is None]
    rest = {"step": step, "iou": iou, "accuracy": iou, "absent": absent, "holdout": None}
    return dict.fromkeys(SCORES) | rest | scores


RESULTS = Results(
    data_set="voc",
    has_background=True,
    names=("background", "cat", "bus|car"),
    group_sizes=(1, 1),
    images=1449,
    rows=(
        row(0, {"background": 0.9, "cat": 0.8}, old=0.85, all=0.85, current=0.85),
        row(1, {"background": 0.9, "cat": 0.6, "bus|car": None}, old=0.75, all=0.75, previous=0.75, forgetting=0.2),
    ),
    confusion=((9, 1, 0), (1, 9, 0), (0, 0, 0)),
)


def page(results: Results = RESULTS, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "capacity": 100,
        "future": "ignore",
        "crop": None,
        "splits": "the splits",
        "figures": FIGURES,
        "open_runs": "mlflow ui",
    }
    return write_page(SUBJECT, results, **(arguments | changes))


def test_the_title_says_method_scenario_setting_and_trunk() -> None:
    assert page().splitlines()[0] == "# ssul-m on voc_15-1, overlapped (backbone mobilenet_v2)"


def test_the_beginning_says_what_was_learned_from_what_and_how_well() -> None:
    introduction = page().splitlines()[2]
    for words in (
        "2 classes",
        "dataset voc",
        "2 steps",
        "100 exemplars",
        "1449 validation images",
        "all classes **75.0 %**",
    ):
        assert words in introduction


def test_a_score_that_is_undefined_is_not_in_the_beginning() -> None:
    assert "new ones" not in page().splitlines()[2]


def test_every_step_is_a_row_and_every_class_is_a_row() -> None:
    text = page()
    assert "| 1 | bus\\|car | 75.0 | – | 75.0 | 75.0 | – | 20.0 |" in text  # noqa: RUF001
    assert "| cat | step 0 | 80.0 | 60.0 |" in text
    assert "| bus\\|car | step 1 |  | – |" in text  # noqa: RUF001


def test_absent_classes_are_named() -> None:
    assert "Absent: bus\\|car." in page()
    assert "Absent" not in page(replace(RESULTS, rows=RESULTS.rows[:1], group_sizes=(1,), names=("background", "cat")))


@pytest.mark.parametrize("missing", FIGURES)
def test_only_figures_that_are_there_are_shown(missing: str) -> None:
    text = page(figures=[name for name in FIGURES if name != missing])
    assert missing not in text
    assert all(f"(figures/{name})" in text for name in FIGURES if name != missing)


def test_the_pictures_of_shapes_are_said_to_be_drawn_and_those_of_voc_are_not() -> None:
    assert "are drawn" in page(replace(RESULTS, data_set="shapes"))
    assert "are drawn" not in page()


def test_what_became_of_classes_learned_later_is_said() -> None:
    assert "are not judged" in page(future="ignore")
    assert "count as background" in page(future="background")


def test_the_protocol_is_said_where_it_crops() -> None:
    assert "resized to 513 pixels" in page(crop=513)
    assert "central square" not in page()


def last(**scores: Any) -> Results:
    """The results with other scores in the last row."""
    return replace(RESULTS, rows=(RESULTS.rows[0], RESULTS.rows[1] | scores))


def test_the_means_without_the_background_are_said_below_the_table() -> None:
    told = page(last(old_without_background=0.5, previous_without_background=None, all_without_background=0.25))
    assert "Without the background, after the last step: old 50.0, all 25.0." in told


def test_a_data_set_without_a_background_has_its_own_words() -> None:
    iou = {"background": None, "cat": 0.6, "bus|car": 0.4}
    told = page(replace(last(iou=iou, absent=[], all_without_background=0.5), has_background=False))
    assert "has no background" in told
    assert "and the background" not in told
    assert "Without the background" not in told
    assert "has no background" not in page()


def test_scores_on_held_out_images_have_a_table_and_a_warning_where_there_are_any() -> None:
    told = page(last(holdout={"images": 12, "old": 0.5, "new": 0.4, "all": 0.25}))
    assert "### On held-out training images" in told
    assert "| 1 | 12 | 50.0 | 40.0 | 25.0 |" in told
    assert "for choosing settings" in told
    assert "held-out" not in page()


def test_the_splits_have_their_section() -> None:
    assert "\n## The splits\n\nthe splits\n" in page()


def test_the_name_of_a_data_set_cannot_act_as_markup() -> None:
    assert "dataset my\\`\\*set\\*, learned" in page(replace(RESULTS, data_set="my`*set*"))


def test_a_run_of_one_step_speaks_of_no_old_and_new() -> None:
    one = replace(RESULTS, rows=RESULTS.rows[:1], group_sizes=(1,), names=("background", "cat"))
    introduction = page(one, capacity=0).splitlines()[2]
    assert "1 class of" in introduction
    assert "at once" in introduction
    assert "old ones" not in introduction
    assert "exemplar" not in introduction


def test_the_way_to_all_runs_is_given() -> None:
    assert "```\nmlflow ui\n```" in page()


def test_the_same_results_give_the_same_page() -> None:
    assert page() == page()
