"""The page: its numbers, and that nothing on it acts as markup."""

from dataclasses import replace
from typing import Any

import pytest

from ssul.config.naming import RunName
from ssul.evaluation.results import Results
from ssul.report.page import page_text, run_description, write_page
from ssul.report.rows import SCORES

RUN_NAME = RunName(scenario="voc_15-1", setting="overlapped", method="ssul-m", model="mobilenet_v2")
FIGURES = ["class_iou.png", "confusion.png", "examples.png", "miou_per_step.png"]


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
BASE = replace(RESULTS, rows=RESULTS.rows[:1], group_sizes=(1,), names=("background", "cat"))


def page(results: Results = RESULTS, **changes: Any) -> str:
    given: dict[str, Any] = {"capacity": 100, "future": "ignore", "unknown": "auto", "crop": None, "images": "all"}
    given |= {"splits": "the splits", "figures": FIGURES} | changes
    figures = given.pop("figures")
    return write_page(page_text(RUN_NAME, results, **given, examples="examples.png" in figures), figures)


def last(**scores: Any) -> Results:
    """The results with other scores in the last row."""
    return replace(RESULTS, rows=(RESULTS.rows[0], RESULTS.rows[1] | scores))


def test_the_title_and_the_introduction_name_the_run_and_its_scores() -> None:
    lines = page().splitlines()
    assert lines[0] == "# ssul-m on voc_15-1, overlapped (backbone mobilenet_v2)"
    named = ("2 classes", "dataset voc", "2 steps", "100 exemplars", "1449 validation images", "classes **75.0 %**")
    for words in named:
        assert words in lines[2]
    assert "new ones" not in lines[2]  # the score is undefined


def test_a_run_of_one_step_has_no_old_and_new_classes() -> None:
    introduction = page(BASE, capacity=0).splitlines()[2]
    assert "1 class of" in introduction
    for words in ("old ones", "exemplar", "steps"):
        assert words not in introduction


def test_every_step_and_every_class_is_a_row() -> None:
    text = page()
    assert "| 1 | bus\\|car | 75.0 | – | 75.0 | – | 75.0 | – | 20.0 |" in text  # noqa: RUF001
    assert "| cat | step 0 | 80.0 | 60.0 |" in text
    assert "| bus\\|car | step 1 |  | – |" in text  # noqa: RUF001


def test_absent_classes_are_named() -> None:
    assert "Absent: bus\\|car." in page()
    assert "Absent" not in page(BASE)


@pytest.mark.parametrize("missing", FIGURES)
def test_only_existing_figures_are_shown(missing: str) -> None:
    text = page(figures=[name for name in FIGURES if name != missing])
    assert missing not in text
    assert all(f"(figures/{name})" in text for name in FIGURES if name != missing)


def test_the_caption_of_the_examples_says_what_is_shown() -> None:
    caption = "Each row is a validation image, its ground truth and what the network predicts after a step. "
    assert caption in page()
    assert caption not in page(figures=[])


def test_the_page_names_the_protocol_and_the_dataset() -> None:
    drawn, background = "are drawn", "count as background"
    assert drawn in page(replace(RESULTS, data_set="shapes"))
    assert drawn not in page()
    assert background in page(future="background")
    assert background not in page(future="ignore")
    assert "513 pixels" in page(crop=513)
    assert "central square" not in page()
    assert "evaluation.images=seen" in page(images="seen")
    assert "evaluation.images" not in page()
    assert "dataset my\\`\\*set\\*, learned" in page(replace(RESULTS, data_set="my`*set*"))


def test_the_means_without_the_background_are_below_the_table() -> None:
    text = page(last(old_without_background=0.5, previous_without_background=None, all_without_background=0.25))
    assert "after the last step: old 50.0, all 25.0." in text


def without_background(first: dict[str, float | None], second: dict[str, float | None]) -> Results:
    """The results of a dataset without a background, with these IoUs after the first and the last step."""
    rows = tuple(old | {"iou": iou, "absent": []} for old, iou in zip(RESULTS.rows, (first, second), strict=True))
    return replace(RESULTS, has_background=False, names=tuple(second), rows=rows)


CLASSES: dict[str, float | None] = {"cat": 0.6, "bus|car": 0.4}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        pytest.param({"cat": 0.8}, CLASSES, "none is predicted", id="none is counted"),
        pytest.param({"background": 0.9, "cat": 0.8}, CLASSES, "later classes count as one", id="before the last"),
        pytest.param({"background": None, "cat": 0.8}, {"background": None, **CLASSES}, "is a miss", id="asked for"),
    ],
)
def test_a_dataset_without_a_background_is_named_as_such(
    first: dict[str, float | None], second: dict[str, float | None], words: str
) -> None:
    text = page(without_background(first, second))
    (line,) = (line for line in text.splitlines() if "The dataset has no background" in line)
    assert words in line
    assert "2 classes" in text
    assert "and the background" not in text
    assert "Without the background" not in text
    assert ("| background |" in text) == ("background" in first)


def test_a_background_that_is_never_predicted_is_named() -> None:
    assert "The background is never predicted" in page(unknown="never")
    assert "The background is never predicted" not in page(without_background({"cat": 0.8}, CLASSES), unknown="never")
    assert "no background" not in page()
    assert "never predicted" not in page()


def test_scores_on_held_out_images_have_a_table() -> None:
    held_out = {"images": 12, "old": 0.5, "new": 0.4, "all": 0.25, "hiou": 4 / 9}
    assert "| 1 | 12 | 50.0 | 40.0 | 25.0 | 44.4 |" in page(last(holdout=held_out))
    assert "held-out" not in page()


def test_the_splits_and_the_command_that_opens_the_runs_are_on_the_page() -> None:
    assert "\n## The splits\n\nthe splits\n" in page()
    assert "```\nmake ui\n```" in page()


def test_the_description_of_a_run_has_the_table_and_the_command_that_fetches_the_network() -> None:
    note = run_description("ssul shapes 6-2", RESULTS)
    named = ("**ssul shapes 6-2**", "1449 validation images", "| 1 |", "TrainedModel.load")
    for words in (*named, "mlflow artifacts download -r RUN_ID -a checkpoint"):
        assert words in note
