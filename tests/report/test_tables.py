"""Numbers as rows, text and Markdown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.report.markdown import markdown
from ssul.report.rows import SCORES, absent_classes, class_rows, final_metrics, learned_classes, per_step, training_rows
from ssul.report.tables import UNDEFINED, markdown_classes, markdown_holdout, markdown_steps, summary, text_table

LEARNED = [("cat", "dog"), ("bus",)]
HELD_OUT = {"images": 12, "old": 0.5, "new": None, "all": 0.25, "hiou": None}


def row(step: int, iou: dict[str, float | None], **scores: Any) -> dict[str, Any]:
    absent = [name for name, value in iou.items() if value is None]
    rest = {"step": step, "iou": iou, "accuracy": iou, "absent": absent, "holdout": None}
    return dict.fromkeys(SCORES) | rest | scores


ROWS = [
    row(0, {"background": 0.9, "cat": 0.8, "dog": None}, old=0.85, all=0.85, current=0.85),
    row(
        1,
        {"background": 0.9, "cat": 0.5, "dog": 0.4, "bus": 0.0},
        old=0.6,
        new=0.0,
        all=0.45,
        hiou=0.0,
        forgetting=1 / 3,
    ),
]

# ---- JSON -----------------------------------------------------------------------------------------------------------


def test_each_step_learned_its_own_classes_and_none_learned_the_background() -> None:
    assert learned_classes(("background", "cat", "dog", "bus"), (2, 1)) == LEARNED
    assert learned_classes(("cat", "dog", "bus"), (2, 1)) == LEARNED


def test_an_undefined_score_is_null() -> None:
    first, _ = json.loads(json.dumps(per_step(ROWS, LEARNED)))
    assert first["new"] is None
    assert set(first) == {"step", "learned", *SCORES}
    assert {f"{name}_without_background" for name in ("old", "previous", "all")} <= set(SCORES)


def test_the_final_metrics_are_those_of_the_last_step() -> None:
    metrics = final_metrics(ROWS[-1])
    defined = {"step": 1, "old": 0.6, "new": 0.0, "all": 0.45, "hiou": 0.0, "forgetting": 0.333333}
    assert metrics["final"] == dict.fromkeys(SCORES) | defined
    assert metrics["per_class_iou"] == {"background": 0.9, "cat": 0.5, "dog": 0.4, "bus": 0.0}


def test_each_class_with_a_defined_iou_has_a_row_with_its_step() -> None:
    rows = class_rows(ROWS[1] | {"iou": {"background": 0.9, "cat": 1 / 3, "dog": None, "bus": 0.0}}, LEARNED)
    assert rows == [
        {"class": "background", "iou": 0.9, "step": 0},
        {"class": "cat", "iou": 0.333333, "step": 0},
        {"class": "bus", "iou": 0.0, "step": 1},
    ]


def test_the_training_curves_follow_each_other() -> None:
    curves = [
        {"step": 0, "iterations": 5, "points": [{"iteration": 2, "loss": 4.0}, {"iteration": 5, "loss": 3.0}]},
        {"step": 1, "iterations": 2, "points": [{"iteration": 2, "loss": 1.0, "lr": 0.1}]},
    ]
    assert [(row["iteration"], row["step"], row["loss"]) for row in training_rows(curves)] == [
        (2, "step 0", 4.0),
        (5, "step 0", 3.0),
        (7, "step 1", 1.0),
    ]
    assert training_rows([]) == []


def test_held_out_scores_exist_only_if_images_are_held_out() -> None:
    first, second = per_step([ROWS[0], ROWS[1] | {"holdout": HELD_OUT}], LEARNED)
    assert (first["holdout_old"], first["holdout_new"], first["holdout_all"]) == (None, None, None)
    assert (second["holdout_old"], second["holdout_new"], second["holdout_all"]) == (0.5, None, 0.25)
    assert final_metrics(ROWS[1] | {"holdout": HELD_OUT})["final"]["holdout_all"] == 0.25
    assert "holdout_all" not in final_metrics(ROWS[1])["final"]


def test_absent_classes_of_any_step_are_named_once() -> None:
    assert absent_classes([*ROWS, ROWS[0]]) == ["dog"]


# ---- tables ---------------------------------------------------------------------------------------------------------


def test_the_text_table_is_aligned_and_in_percent_and_needs_only_the_json() -> None:
    text = text_table(json.loads(json.dumps(per_step(ROWS, LEARNED))))
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[3:] == ["old", "new", "all", "hIoU", "previous", "current", "forgetting"]
    assert lines[1].split() == ["0", "cat,", "dog", "85.0", "-", "85.0", "-", "-", "85.0", "-"]
    assert lines[2].split() == ["1", "bus", "60.0", "0.0", "45.0", "0.0", "-", "-", "33.3"]


def test_the_class_table_is_empty_before_a_class_is_learned_and_dashed_if_undefined() -> None:
    lines = markdown_classes(ROWS, LEARNED).splitlines()
    assert lines[3] == "| cat | step 0 | 80.0 | 50.0 |"
    assert lines[4] == f"| dog | step 0 | {UNDEFINED} | 40.0 |"
    assert lines[5] == "| bus | step 1 |  | 0.0 |"


def test_a_background_that_is_counted_before_the_last_step_alone_has_a_row() -> None:
    last = ROWS[1] | {"iou": {"cat": 0.5, "dog": 0.4, "bus": 0.0}}
    assert markdown_classes([ROWS[0], last], LEARNED).splitlines()[2] == "| background |  | 90.0 |  |"


def test_the_held_out_table_has_a_row_for_each_step_with_held_out_images() -> None:
    lines = markdown_holdout([ROWS[0], ROWS[1] | {"holdout": HELD_OUT}]).splitlines()
    assert lines[0] == "| step | images | old | new | all | hIoU |"
    assert lines[2:] == [f"| 1 | 12 | 50.0 | {UNDEFINED} | 25.0 | {UNDEFINED} |"]


def test_many_classes_are_shortened_to_the_first_and_their_number() -> None:
    assert summary([f"class{number}" for number in range(15)]) == "class0, class1, class2, ... (15)"
    assert summary(["cat", "dog"]) == "cat, dog"
    assert summary(["a name that is longer than any column", "cat"], width=10).endswith("... (2)")
    rows = per_step([row(0, {})], [[f"a, b {number}" for number in range(100)]])  # a comma is part of a name
    assert len(rows[0]["learned"]) == 100
    assert "... (100)" in text_table(rows)
    assert "... (100)" in markdown_steps(rows)
    assert len(markdown_steps(rows).splitlines()[2]) < 150


# ---- names that would be markup -------------------------------------------------------------------------------------

HOSTILE = ["a, b", '"moo"', "<script>alert(1)</script>", "|pipe|", "🐑 Ähre", "$x$", "[l](javascript:x)", "`c`", ","]


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a|b", "a\\|b"),
        ("<script> & *co*", "&lt;script&gt; &amp; \\*co\\*"),
        ("two\nlines", "two lines"),
        ("mobilenet_v2 _x_", "mobilenet_v2 \\_x\\_"),
    ],
)
def test_a_class_name_is_escaped(name: str, escaped: str) -> None:
    assert markdown(name) == escaped


@given(st.text())
def test_any_name_stays_within_its_cell(name: str) -> None:
    escaped = markdown(name)
    assert "\n" not in escaped
    assert "<" not in escaped
    assert escaped.count("|") == escaped.count("\\|")


def test_names_act_as_markup_in_no_table() -> None:
    rows = [row(0, dict.fromkeys(["background", *HOSTILE], 0.5))]
    tables = [markdown_steps(per_step(rows, [names])) for names in (HOSTILE[:3], HOSTILE[3:])]
    for table in (*tables, markdown_classes(rows, [HOSTILE])):
        assert "<" not in table.replace("&lt;", "")
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1
        assert "](javascript" not in table.replace("\\]", "")
