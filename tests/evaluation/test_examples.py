"""The example images that an evaluation saves."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssul.data.dataset import LabeledImage, mask_lookup_table
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.evaluate import EvaluatedImage
from ssul.evaluation.examples import choose_examples, save_examples, save_labels
from ssul.inference.confusion import ConfusionMatrix

PALETTE = find_dataset("voc").palette


def index(**present: tuple[int, ...]) -> ImageIndex:
    """An index of images that show the named classes, and background."""
    rows = tuple(
        IndexRow(image_id, 4, 4, {0: 1, **dict.fromkeys(classes, 1)}, 0, 0, "") for image_id, classes in present.items()
    )
    return ImageIndex("shapes", ("a", "b"), SplitFiles("{id}.jpg", "{id}.png"), MaskEncoding(), rows)


images = st.dictionaries(st.sampled_from("pqrstuvwxyz"), st.sets(st.integers(1, 6), max_size=4).map(tuple), min_size=1)

# ---- which images ---------------------------------------------------------------------------------------------------


def test_the_fullest_image_comes_first_then_what_it_does_not_show() -> None:
    assert choose_examples(index(p=(1,), q=(1, 2), r=(3,), s=(2,)), 2) == ["q", "r"]


def test_as_many_images_as_classes_show_them_all_where_each_shows_one() -> None:
    rows = {f"{class_id}{letter}": (class_id,) for class_id in range(1, 6) for letter in "abc"}
    assert {name[0] for name in choose_examples(index(**rows), 5)} == set("12345")


def test_of_images_that_show_the_same_those_far_from_each_other_in_the_order_of_the_ids_are_chosen() -> None:
    video = {f"frame_{number:02d}": (1, 2, 3) for number in range(41)}
    assert choose_examples(index(**video), 5) == ["frame_20", "frame_00", "frame_40", "frame_10", "frame_30"]


def test_of_neighbours_that_alone_show_every_class_one_is_chosen_and_then_the_rest_of_the_video() -> None:
    usual = tuple(range(1, 11))
    video = {f"frame_{number:02d}": usual for number in range(41)}
    video |= {f"frame_{number:02d}": (*usual, 11) for number in range(5, 9)}
    assert choose_examples(index(**video), 4) == ["frame_20", "frame_05", "frame_40", "frame_30"]


@given(images, st.integers(0, 14))
def test_each_image_is_chosen_once_and_as_many_as_asked_for_where_there_are_enough(
    present: dict[str, tuple[int, ...]], count: int
) -> None:
    chosen = choose_examples(index(**present), count)
    assert len(chosen) == len(set(chosen)) == min(count, len(present))
    assert set(chosen) <= set(present)


@given(images, st.integers(0, 14), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_the_list(
    present: dict[str, tuple[int, ...]], count: int, rng: random.Random
) -> None:
    rows = list(present.items())
    rng.shuffle(rows)
    assert choose_examples(index(**dict(rows)), count) == choose_examples(index(**present), count)


@given(images, st.integers(0, 10))
def test_asking_for_more_images_keeps_those_chosen(present: dict[str, tuple[int, ...]], count: int) -> None:
    assert choose_examples(index(**present), count + 1)[:count] == choose_examples(index(**present), count)


# ---- saved images ---------------------------------------------------------------------------------------------------


def test_saved_labels_read_back_in_the_datasets_colours_with_vocs_cream_for_void(tmp_path: Path) -> None:
    labels = torch.arange(256, dtype=torch.uint8).reshape(8, 32)
    save_labels(tmp_path / "labels.png", labels, PALETTE)
    with Image.open(tmp_path / "labels.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image), labels.numpy())
        colours = np.array(image.convert("RGB")).reshape(256, 3)[[0, 1, 20, 255]].tolist()
    assert colours == [[0, 0, 0], [128, 0, 0], [0, 64, 128], [224, 224, 192]]  # VOC's own colours


def test_saved_labels_are_ids_where_the_mask_files_hold_other_values(tmp_path: Path) -> None:
    values = MaskEncoding(background=False, first=0, void=11)  # as CamVid's masks
    table = mask_lookup_table(values, classes=11)
    assert table is not None
    save_labels(tmp_path / "truth.png", table[None, [0, 10, 11]], PALETTE)
    with Image.open(tmp_path / "truth.png") as image:
        assert np.array(image).tolist() == [[1, 11, 255]]


def evaluated(image_id: str, shape: tuple[int, int] = (4, 6)) -> EvaluatedImage:
    """A grey image whose upper half is class 1, predicted as class 2."""
    mask = torch.zeros(shape, dtype=torch.uint8)
    mask[: shape[0] // 2] = 1
    image = torch.full((3, *shape), 120, dtype=torch.uint8)
    return EvaluatedImage(LabeledImage(image_id, image, mask, None), 2 * mask, ConfusionMatrix.empty(3))


def test_each_image_is_saved_in_a_flat_folder(tmp_path: Path) -> None:
    save_examples([evaluated("a"), evaluated("town/street/7")], tmp_path, step=0, palette=PALETTE)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["a", "town__street__7"]


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5)])
def test_image_ground_truth_and_the_predictions_of_all_steps_are_saved_as_they_were_evaluated(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    one = evaluated("a", shape)
    for step in (0, 3):
        save_examples([one], tmp_path, step=step, palette=PALETTE)
    files = ["image.jpg", "step_0.png", "step_3.png", "truth.png"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == files
    with Image.open(tmp_path / "a" / "image.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", shape[::-1])
        assert np.abs(np.asarray(image).astype(int) - 120).max() <= 2
    for name, labels in (("truth", one.image.mask), ("step_0", one.prediction), ("step_3", one.prediction)):
        with Image.open(tmp_path / "a" / f"{name}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), labels.numpy())
