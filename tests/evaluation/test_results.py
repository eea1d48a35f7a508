"""What an evaluation leaves on disk."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssul.catalog import data_set
from ssul.data.index import ImageIndex, IndexRow
from ssul.errors import UserError
from ssul.evaluation.results import Results, choose_pictures, save_labels

PALETTE = data_set("voc").palette


def index(**present: tuple[int, ...]) -> ImageIndex:
    """An index of images that show the named classes, and background."""
    rows = tuple(
        IndexRow(image_id, 4, 4, {0: 1, **dict.fromkeys(classes, 1)}, 0, 0, "") for image_id, classes in present.items()
    )
    return ImageIndex("shapes", ("a", "b"), rows)


images = st.dictionaries(st.sampled_from("pqrstuvwxyz"), st.sets(st.integers(1, 6), max_size=4).map(tuple), min_size=1)

# ---- which pictures -------------------------------------------------------------------------------------------------


def test_the_fullest_picture_comes_first_then_what_it_does_not_show() -> None:
    assert choose_pictures(index(p=(1,), q=(1, 2), r=(3,), s=(2,)), 2) == ["q", "r"]


def test_as_many_pictures_as_classes_show_them_all_where_each_shows_one() -> None:
    rows = {f"{class_id}{letter}": (class_id,) for class_id in range(1, 6) for letter in "abc"}
    assert {name[0] for name in choose_pictures(index(**rows), 5)} == set("12345")


@given(images, st.integers(0, 14))
def test_each_picture_is_chosen_once_and_as_many_as_asked_for_where_there_are_enough(
    present: dict[str, tuple[int, ...]], count: int
) -> None:
    chosen = choose_pictures(index(**present), count)
    assert len(chosen) == len(set(chosen)) == min(count, len(present))
    assert set(chosen) <= set(present)


@given(images, st.integers(0, 14), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_the_list(
    present: dict[str, tuple[int, ...]], count: int, chance: random.Random
) -> None:
    rows = list(present.items())
    chance.shuffle(rows)
    assert choose_pictures(index(**dict(rows)), count) == choose_pictures(index(**present), count)


@given(images, st.integers(0, 10))
def test_asking_for_more_pictures_keeps_those_chosen(present: dict[str, tuple[int, ...]], count: int) -> None:
    assert choose_pictures(index(**present), count + 1)[:count] == choose_pictures(index(**present), count)


# ---- label pictures -------------------------------------------------------------------------------------------------


def test_a_label_picture_reads_back_as_the_same_ids(tmp_path: Path) -> None:
    labels = torch.arange(256, dtype=torch.uint8).reshape(8, 32)
    save_labels(tmp_path / "labels.png", labels, PALETTE)
    with Image.open(tmp_path / "labels.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.array(picture), labels.numpy())


def test_a_label_picture_shows_the_data_sets_colours_and_vocs_cream_for_void(tmp_path: Path) -> None:
    save_labels(tmp_path / "labels.png", torch.tensor([[0, 1, 20, 255]], dtype=torch.uint8), PALETTE)
    with Image.open(tmp_path / "labels.png") as picture:
        shown = np.array(picture.convert("RGB"))[0].tolist()
    assert shown == [[0, 0, 0], [128, 0, 0], [0, 64, 128], [224, 224, 192]]  # VOC's own colours


# ---- results.json ---------------------------------------------------------------------------------------------------

RESULTS = Results(
    data_set="shapes",
    names=("background", "ball", "Ähre"),
    group_sizes=(1, 1),
    images=12,
    rows=({"step": 0, "all": 0.5, "new": None, "iou": {"ball": 1 / 3}}, {"step": 1, "all": 0.25, "new": 0.125}),
    confusion=((2**53 + 1, 0, 1), (0, 2, 0), (0, 0, 3)),
)


def test_results_read_back_as_they_were_written(tmp_path: Path) -> None:
    RESULTS.write(tmp_path)
    assert Results.read(tmp_path) == RESULTS


def test_results_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    RESULTS.write(tmp_path)
    first = (tmp_path / "results.json").read_bytes()
    Results.read(tmp_path).write(tmp_path)
    assert (tmp_path / "results.json").read_bytes() == first


def test_missing_results_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step_3.results\.json is missing"):
        Results.read(tmp_path / "step_3")
