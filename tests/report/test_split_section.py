"""The section on the training data."""

from typing import Any

import pytest

from ssul.report.split_section import split_section
from ssul.scenario.scenario import SETTINGS, Scenario, Setting
from ssul.scenario.splits import make_splits
from ssul.scenario.summary import summarise

NAMES = ("cat", "bus|car", "<b>", "`dog`")
PRESENT = {"a": (1,), "b": (1, 2), "c": (2, 3), "d": (4,), "e": (), "f": (3,)}
CLASS = {"name": "cat", "images": 4, "other_steps": 3}
STEP = {"step": 0, "images": 5, "appear_again": 2, "held_out": 0, "classes": [CLASS]}


def section(setting: Setting = "overlapped", *, train: dict[str, str] | None = None, val: Any = None) -> str:
    splits = make_splits(PRESENT, Scenario((1, 2, 3, 4), 2, 1), setting, names=NAMES, seed=0)
    return split_section(summarise(splits, PRESENT, setting), train_skipped=train or {}, val_skipped=val or {})


def section_of(no_step: int = 0, **step: Any) -> str:
    """The section of one step with other numbers."""
    summary = {"setting": "disjoint", "images": 9, "no_step": no_step, "steps": [STEP | step]}
    return split_section(summary, train_skipped={}, val_skipped={})


def test_every_step_and_every_class_has_a_row() -> None:
    text = section()
    lines = text.splitlines()
    assert "| step | new classes | images | appear again later |" in lines
    assert "| 0 | cat, bus\\|car | 3 | 1 |" in lines
    assert "| 1 | &lt;b&gt; | 2 | 0 |" in lines
    details = text[text.index("<details>") : text.index("</details>")]
    assert "| bus\\|car | step 0 | 2 | 1 |" in details
    assert "| &lt;b&gt; | step 1 | 2 | 1 |" in details
    assert "| \\`dog\\` | step 2 | 1 | 0 |" in details


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_explained(setting: Setting) -> None:
    assert section(setting).splitlines()[0].startswith(f"Setting **{setting}**: ")


def test_images_without_a_step_and_held_out_images_are_counted() -> None:
    assert "Of the 6 training images 1 belongs to no step" in section()
    assert "Of the 9 training images 4 belong to no step" in section_of(no_step=4)
    assert "one of the 9 training images" in section_of()
    held_out = section_of(held_out=3)
    assert "Of the 9 training images 3 are held out (`data.holdout`)" in held_out
    assert "the other 6 " in held_out
    both = section_of(no_step=1, held_out=3)
    assert "Of the 9 training images 1 belongs to no step" in both
    assert "3 are held out (`data.holdout`)" in both


def test_held_out_images_have_a_column_only_if_there_are_any() -> None:
    assert "held out" not in section_of()
    text = section_of(held_out=3)
    assert "| step | new classes | images | appear again later | held out so far |" in text
    assert "| 0 | cat | 5 | 2 | 3 |" in text


def test_a_class_that_no_image_of_its_step_shows_is_warned_of() -> None:
    assert "Warning" not in section()
    text = section_of(classes=[CLASS, CLASS | {"name": "bus|car", "images": 0}])
    assert "\n\n**Warning**: no training image of step 0 shows bus\\|car in the disjoint setting. " in text


def test_a_step_of_a_hundred_classes_is_short_but_each_class_has_its_row() -> None:
    text = section_of(classes=[CLASS | {"name": f"class{number}"} for number in range(100)])
    assert "... (100) | 5 | 2 |" in text
    assert text.count("| step 0 |") == 100


def test_unusable_images_are_counted_and_named_with_the_reason() -> None:
    assert "could not be used" not in section()
    last = section(train={"x": "its mask is missing", "y": "value 7 | 8"}, val={"<z>": "`?`"}).splitlines()[-1]
    assert last.startswith("2 training and 1 validation image could not be used")
    assert last.endswith(": x: its mask is missing; y: value 7 \\| 8; &lt;z&gt;: \\`?\\`.")


def test_at_most_eight_unusable_images_are_named() -> None:
    text = section(train={f"image{number}": "gone" for number in range(20)})
    assert "20 training and 0 validation images could not be used" in text
    assert text.count("gone") == 8
    assert "and 12 more." in text
