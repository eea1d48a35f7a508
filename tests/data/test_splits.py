"""A step's split file."""

import json
from pathlib import Path

import pytest

from ssul.data.splits import Split
from ssul.errors import UserError

SPLIT = Split(2, groups=((3, 1), (4,), (2, 5)), class_names=("hat", "ball", "moon", "star", "kite"), images=("b", "a"))


def test_new_classes_are_the_last_group_and_old_ones_all_before_in_learning_order() -> None:
    assert SPLIT.new == (2, 5)
    assert SPLIT.old == (3, 1, 4)


def test_at_the_base_step_nothing_is_old() -> None:
    base = Split(0, ((3, 1),), ("hat", "ball"), ("a",))
    assert base.new == (3, 1)
    assert base.old == ()


def test_a_split_is_read_as_it_was_written(tmp_path: Path) -> None:
    SPLIT.write(tmp_path / "splits" / "step_2.json")
    assert Split.read(tmp_path / "splits" / "step_2.json") == SPLIT


def test_the_same_split_gives_the_same_bytes(tmp_path: Path) -> None:
    SPLIT.write(tmp_path / "one.json")
    Split.read(tmp_path / "one.json").write(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_a_split_holds_nothing_of_its_scenario(tmp_path: Path) -> None:
    """15-1 and 15-5 share their base step, byte for byte, and with it the trained base."""
    SPLIT.write(tmp_path / "step_2.json")
    content = json.loads((tmp_path / "step_2.json").read_text(encoding="utf-8"))
    assert set(content) == {"step", "groups", "class_names", "images"}


def test_a_missing_split_is_refused_with_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step_2\.json is missing: run `dvc repro splits`"):
        Split.read(tmp_path / "step_2.json")
