"""The training data of each step: its file, what is held out, and its summary."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.errors import UserError
from ssul.scenario.scenario import Scenario, Setting, step_images
from ssul.scenario.splits import Split, is_held_out, make_splits
from ssul.scenario.summary import summarise, text_summary, warning_of

SPLIT = Split(
    2,
    groups=((3, 1), (4,), (2, 5)),
    class_names=("hat", "ball", "moon", "star", "kite"),
    images=("b", "a"),
    holdout=("c",),
)
NAMES = ("ball", "star", "hat", "moon")
TOY = Scenario((3, 1, 2, 4), base_classes=2, increment=1)  # hat and ball, star, moon
PRESENT = {"a": (1,), "b": (1, 2), "c": (3, 4), "d": (), "e": (2,), "f": (2, 4), "g": (4,)}
settings = st.sampled_from(["overlapped", "disjoint", "partitioned"])


def made(setting: Setting, *, holdout: float = 0.0, seed: int = 0) -> list[Split]:
    return make_splits(PRESENT, TOY, setting, names=NAMES, seed=seed, holdout=holdout)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_new_classes_are_the_last_group_and_old_ones_all_before_in_learning_order() -> None:
    assert (SPLIT.new, SPLIT.new_names, SPLIT.old) == ((2, 5), ("star", "kite"), (3, 1, 4))
    base = Split(0, ((3, 1),), ("hat", "ball"), ("a",), ())
    assert (base.new, base.new_names, base.old) == ((3, 1), ("hat", "ball"), ())


def test_a_split_survives_its_file_which_holds_nothing_of_its_scenario(tmp_path: Path) -> None:
    one, two = tmp_path / "splits" / "one.json", tmp_path / "two.json"
    SPLIT.write(one)
    assert Split.read(one) == SPLIT
    assert set(json.loads(one.read_text(encoding="utf-8"))) == {"step", "groups", "class_names", "images", "holdout"}
    Split.read(one).write(two)
    assert one.read_bytes() == two.read_bytes()


def test_scenarios_that_begin_alike_share_the_bytes_of_their_base(tmp_path: Path) -> None:
    for increment in (1, 2):
        other = Scenario(TOY.order, TOY.base_classes, increment)
        base = make_splits(PRESENT, other, "overlapped", names=NAMES, seed=0, holdout=0.3)[0]
        base.write(tmp_path / f"{increment}.json")
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_a_missing_split_is_refused_with_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step_2\.json is missing: run `dvc repro splits`"):
        Split.read(tmp_path / "step_2.json")


# --- making -----------------------------------------------------------------------------------------------------------


def test_overlapped_splits_by_hand() -> None:
    assert made("overlapped") == [
        Split(0, ((3, 1),), ("hat", "ball"), ("a", "b", "c"), ()),
        Split(1, ((3, 1), (2,)), ("hat", "ball", "star"), ("b", "e", "f"), ()),
        Split(2, ((3, 1), (2,), (4,)), ("hat", "ball", "star", "moon"), ("c", "f", "g"), ()),
    ]


def test_disjoint_splits_by_hand() -> None:
    assert [split.images for split in made("disjoint")] == [("a",), ("b", "e"), ("c", "f", "g")]


def test_the_partition_is_drawn_once_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    each = [tuple(step_images(PRESENT, step, "partitioned", 5)) for step in TOY.steps]
    drawn: list[str] = []

    class Watched(random.Random):
        def __init__(self, key: str) -> None:
            drawn.append(key)
            super().__init__(key)

    monkeypatch.setattr(random, "Random", Watched)
    assert [split.images for split in made("partitioned", seed=5)] == each
    assert drawn == [f"5/{image_id}" for image_id, shown in PRESENT.items() if shown]


@pytest.mark.parametrize("setting", ["overlapped", "disjoint", "partitioned"])
def test_a_step_without_images_is_refused_with_its_classes_and_the_setting(setting: Setting) -> None:
    with pytest.raises(UserError, match=rf"step 1 has no training image: none shows star in the {setting} setting"):
        make_splits({"a": (1,), "g": (4,)}, TOY, setting, names=NAMES, seed=0)


def test_the_base_needs_no_image_where_a_network_knows_its_classes_already(tmp_path: Path) -> None:
    present: dict[str, tuple[int, ...]] = {"b": (2,), "g": (4,)}
    splits = make_splits(present, TOY, "overlapped", names=NAMES, seed=0, known=3)
    assert [split.images for split in splits] == [(), ("b",), ("g",)]
    splits[0].write(tmp_path / "step_0.json")
    assert Split.read(tmp_path / "step_0.json") == splits[0]
    assert warning_of(summarise(splits, present, "overlapped", known=3)) is None
    assert "hat" in (warning_of(summarise(splits, present, "overlapped")) or "")


# --- what is held out -------------------------------------------------------------------------------------------------

MANY = {
    f"image_{number:03d}": (1 + number % 4,) if number % 5 == 0 else (1 + number % 4, 1 + number % 3)
    for number in range(400)
}


@given(settings, st.floats(0.0, 0.5), st.integers(0, 5), st.permutations(range(1, 5)), st.integers(1, 3))
def test_held_out_images_train_no_step_and_with_them_nothing_is_lost(
    setting: Setting, share: float, seed: int, order: list[int], base: int
) -> None:
    scenario = Scenario(tuple(order), base, 1)
    parts = make_splits(MANY, scenario, setting, names=NAMES, seed=9, holdout=share, holdout_seed=seed)
    whole = make_splits(MANY, scenario, setting, names=NAMES, seed=9)
    held_out = {image_id for image_id in MANY if is_held_out(image_id, share, seed)}
    so_far: set[str] = set()
    for part, all_of_it in zip(parts, whole, strict=True):
        assert not held_out & set(part.images)
        assert part.images == tuple(image_id for image_id in all_of_it.images if image_id not in held_out)
        so_far |= held_out & set(all_of_it.images)
        assert len(part.holdout) == len(set(part.holdout))
        assert set(part.holdout) == so_far  # of this step and of all before it
        assert set(part.images) | (set(part.holdout) & set(all_of_it.images)) == set(all_of_it.images)


def test_what_is_held_out_is_the_same_for_every_run_scenario_and_step() -> None:
    held_out_ids = [
        set(make_splits(MANY, Scenario(order, base, 1), "overlapped", names=NAMES, seed=run, holdout=0.25)[-1].holdout)
        for run, order, base in ((7, (1, 2, 3, 4), 1), (8, (4, 3, 2, 1), 3))
    ]
    assert held_out_ids[0] == held_out_ids[1] == {image_id for image_id in MANY if is_held_out(image_id, 0.25, 0)}


def test_about_the_share_is_held_out_and_a_larger_share_holds_out_more_of_the_same() -> None:
    ids = [str(number) for number in range(4000)]
    quarter, half = ({one for one in ids if is_held_out(one, share, 0)} for share in (0.25, 0.5))
    assert abs(len(quarter) - 1000) < 5 * 28  # five standard deviations
    assert quarter < half
    assert not any(is_held_out(one, 0.0, 0) for one in ids)
    assert quarter != {one for one in ids if is_held_out(one, 0.25, 1)}


def test_a_step_whose_images_are_all_held_out_is_refused_with_the_parameter() -> None:
    present = {"a": (1,), "b": (1,), "c": (2,)}
    with pytest.raises(UserError, match=r"step 0 has no training image: data\.holdout holds out all 2 that show ball"):
        make_splits(present, Scenario((1, 2), 1, 1), "overlapped", names=NAMES, seed=0, holdout=0.9999)


# --- the summary ------------------------------------------------------------------------------------------------------


def test_a_summary_by_hand() -> None:
    hat = {"name": "hat", "images": 1, "other_steps": 1}  # c at step 0 and, not annotated, at step 2
    ball = {"name": "ball", "images": 2, "other_steps": 1}
    star, moon = ({"name": name, "images": 3, "other_steps": 2} for name in ("star", "moon"))
    base = {"step": 0, "images": 3, "appear_again": 2, "held_out": 0, "classes": [hat, ball]}  # b and c again
    first = {"step": 1, "images": 3, "appear_again": 1, "held_out": 0, "classes": [star]}
    second = {"step": 2, "images": 3, "appear_again": 0, "held_out": 0, "classes": [moon]}
    assert summarise(made("overlapped"), PRESENT, "overlapped") == {
        "setting": "overlapped",
        "images": 7,
        "no_step": 1,  # d shows nothing
        "steps": [base, first, second],
    }


@given(settings, st.floats(0.0, 0.5), st.integers(0, 5))
def test_a_summary_counts_what_the_splits_hold(setting: Setting, share: float, seed: int) -> None:
    scenario = Scenario((3, 1, 2, 4), 2, 1)
    splits = make_splits(MANY, scenario, setting, names=NAMES, seed=seed, holdout=share)
    summary = summarise(splits, MANY, setting)
    used = set().union(*(split.images for split in splits))
    assert summary["no_step"] == len(set(MANY) - used - set(splits[-1].holdout))
    for split, step in zip(splits, summary["steps"], strict=True):
        assert (step["step"], step["images"], step["held_out"]) == (split.step, len(split.images), len(split.holdout))
        assert [one["name"] for one in step["classes"]] == list(split.new_names)
        for class_id, one in zip(split.new, step["classes"], strict=True):
            assert one["images"] == sum(class_id in MANY[image_id] for image_id in split.images)
    again = sum(step["appear_again"] for step in summary["steps"])
    if setting == "overlapped":
        assert again > 0
    else:  # no image is in two steps
        assert again == 0
        assert sum(len(step_images(MANY, step, setting, seed)) for step in scenario.steps) == len(MANY)


def test_a_summary_as_text_has_a_line_for_each_step_and_says_what_is_held_out() -> None:
    assert text_summary(summarise(made("overlapped"), PRESENT, "overlapped")).splitlines() == [
        "step  0:      3 images for hat, ball (2 appear again later)",
        "step  1:      3 images for star (1 appear again later)",
        "step  2:      3 images for moon",
        "1 of 7 images are in no step",
    ]
    splits = make_splits(MANY, TOY, "disjoint", names=NAMES, seed=0, holdout=0.25)
    text = text_summary(summarise(splits, MANY, "disjoint"))
    assert text.endswith(f"0 of 400 images are in no step, {len(splits[-1].holdout)} are held out")
    assert "again" not in text


def test_a_smaller_last_step_is_the_last_line_of_a_summary_as_text() -> None:
    summary = summarise(made("overlapped"), PRESENT, "overlapped")
    assert text_summary(summary, "the last step is smaller") == f"{text_summary(summary)}\nthe last step is smaller"


@pytest.mark.parametrize(
    ("count", "words"), [(20, "class 18, class 19, class 20"), (21, "class 6, class 7, class 8, ... (21 classes)")]
)
def test_a_summary_as_text_lists_at_most_20_classes(count: int, words: str) -> None:
    names = [f"class {number}" for number in range(1, count + 1)]
    order = tuple(range(1, count + 1))
    splits = make_splits({"a": order}, Scenario(order, count, 1), "overlapped", names=names, seed=0)
    summary = summarise(splits, {"a": order}, "overlapped")
    line = text_summary(summary).splitlines()[0]
    assert line.startswith("step  0:      1 images for class 1, class 2, class 3, class 4, class 5, ")
    assert line.endswith(words)
    assert len(summary["steps"][0]["classes"]) == count


# --- classes that no image of their step shows ------------------------------------------------------------------------


def warning(
    present: dict[str, tuple[int, ...]], setting: Setting, *, increment: int = 1, holdout: float = 0.0
) -> str | None:
    scenario = Scenario(TOY.order, TOY.base_classes, increment)  # hat and ball, star, moon
    splits = make_splits(present, scenario, setting, names=NAMES, seed=0, holdout=holdout)
    return warning_of(summarise(splits, present, setting))


def test_where_every_class_has_images_of_its_step_there_is_no_warning() -> None:
    assert warning(PRESENT, "overlapped") is None


def test_classes_whose_images_all_show_a_later_class_are_named_with_step_setting_and_way_out() -> None:
    assert warning(PRESENT, "disjoint") == (  # c alone shows a hat, and also the moon
        "no training image of step 0 shows hat in the disjoint setting. These classes cannot be learned: choose "
        "another setting or scenario.order, or add images"
    )


def test_classes_of_several_steps_are_named_in_one_line_and_where_no_image_shows_them_only_images_help() -> None:
    assert warning({"a": (1,), "g": (4,)}, "overlapped", increment=2) == (
        "no training image of step 0 shows hat, and none of step 1 shows star in the overlapped setting. These classes "
        "cannot be learned: add images that show them"
    )


def test_where_images_are_held_out_a_smaller_share_is_a_way_out() -> None:
    held_out, kept = (next(one for one in MANY if is_held_out(one, 0.2, 0) is so) for so in (True, False))
    present = {held_out: (3,), kept: (1,), "b": (2,), "d": (4,)}
    assert not any(is_held_out(one, 0.2, 0) for one in "bd")
    assert str(warning(present, "overlapped", holdout=0.2)).endswith(
        "step 0 shows hat in the overlapped setting. These classes cannot be learned: choose a smaller data.holdout, "
        "or add images"
    )
