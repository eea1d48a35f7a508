"""The page's section on the training data."""

from typing import Any

import pytest

from ssul.report.split_section import split_section
from ssul.scenario.scenario import SETTINGS, Scenario, Setting
from ssul.scenario.splits import make_splits
from ssul.scenario.summary import summarise

NAMES = ("cat", "bus|car", "<b>", "`dog`")
PRESENT = {"a": (1,), "b": (1, 2), "c": (2, 3), "d": (4,), "e": (), "f": (3,)}


def section(
    setting: Setting = "overlapped", *, train: dict[str, str] | None = None, val: dict[str, str] | None = None
) -> str:
    splits = make_splits(PRESENT, Scenario((1, 2, 3, 4), 2, 1), setting, names=NAMES, seed=0)
    return split_section(summarise(splits, PRESENT, setting), train_skipped=train or {}, val_skipped=val or {})


def summary(**changes: Any) -> dict[str, Any]:
    step = {
        "step": 0,
        "images": 5,
        "appear_again": 2,
        "held_out": 0,
        "classes": [{"name": "cat", "images": 4, "other_steps": 3}],
    }
    return {"setting": "disjoint", "images": 9, "no_step": 0, "steps": [step]} | changes


def told(**changes: Any) -> str:
    return split_section(summary(**changes), train_skipped={}, val_skipped={})


def test_every_step_has_a_row_of_its_images_and_of_those_that_appear_again() -> None:
    lines = section().splitlines()
    assert "| step | new classes | images | appear again later |" in lines
    assert "| 0 | cat, bus\\|car | 3 | 1 |" in lines
    assert "| 1 | &lt;b&gt; | 2 | 0 |" in lines


def test_every_class_has_a_folded_row_of_its_images_and_of_those_where_it_is_not_annotated() -> None:
    text = section()
    details = text[text.index("<details>") : text.index("</details>")]
    assert "| bus\\|car | step 0 | 2 | 1 |" in details
    assert "| &lt;b&gt; | step 1 | 2 | 1 |" in details
    assert "| \\`dog\\` | step 2 | 1 | 0 |" in details


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_told_in_words(setting: Setting) -> None:
    assert section(setting).splitlines()[0].startswith(f"Setting **{setting}**: ")


def test_images_of_no_step_are_told() -> None:
    assert "Of the 6 training images 1 belongs to no step" in section()
    assert "Of the 9 training images 4 belong to no step" in told(no_step=4)
    assert "Every one of the 9 training images belongs to a step." in told()


def test_held_out_images_are_counted_apart_from_those_that_belong_to_a_step() -> None:
    steps = [summary()["steps"][0] | {"held_out": 3}]
    assert (
        "Of the 9 training images 3 are held out (`data.holdout`); every one of the other 6 belongs to a step."
        in told(steps=steps)
    )
    both = "Of the 9 training images 1 belongs to no step and so teach nothing, and 3 are held out (`data.holdout`)."
    assert both in told(steps=steps, no_step=1)


def test_held_out_images_have_a_column_only_where_there_are_any() -> None:
    assert "held out" not in told()
    text = told(steps=[summary()["steps"][0] | {"held_out": 3}])
    assert "| step | new classes | images | appear again later | held out so far |" in text
    assert "| 0 | cat | 5 | 2 | 3 |" in text


def test_a_step_of_a_hundred_classes_is_summed_up_but_each_has_its_folded_row() -> None:
    classes = [{"name": f"class{number}", "images": 1, "other_steps": 0} for number in range(100)]
    text = told(steps=[summary()["steps"][0] | {"classes": classes}])
    assert "... (100) | 5 | 2 |" in text
    assert text.count("| step 0 |") == 100


# ---- images that could not be used ----------------------------------------------------------------------------------


def test_where_all_images_can_be_used_nothing_is_said_of_it() -> None:
    assert "could not be used" not in section()


def test_images_that_could_not_be_used_are_counted_and_named_with_the_reason() -> None:
    text = section(train={"x": "its mask is missing", "y": "value 7 | 8"}, val={"<z>": "`?`"})
    assert text.splitlines()[-1] == (
        "2 training and 1 validation image could not be used and were left out (`data.on_error=skip`): "
        "x: its mask is missing; y: value 7 \\| 8; &lt;z&gt;: \\`?\\`."
    )


def test_at_most_eight_of_them_are_named() -> None:
    text = section(train={f"image{number}": "gone" for number in range(20)})
    assert "20 training and 0 validation images could not be used" in text
    assert text.count("gone") == 8
    assert "and 12 more." in text
