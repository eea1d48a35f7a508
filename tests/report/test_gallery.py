"""Which images the interactive page shows, by hand: the worst, and those behind the cells of the confusion."""

import numpy as np
import pytest

from ssul.data.index import ImageIndex
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.image_counts import ImageCounts
from ssul.evaluation.small_masks import SmallMasks
from ssul.report.gallery import choose_images, class_ious, class_places

VOC = find_dataset("voc")
INDEX = ImageIndex("toy", ("cat", "dog", "bird"), VOC.val, VOC.values, ())
NAMES = ("background", "dog", "cat")  # in learning order; no step learns the bird
PLACES = class_places(NAMES, INDEX, "ignore")
COUNTS: ImageCounts = {
    "good": [(0, 4, 4, 4), (1, 4, 4, 4)],
    "bad": [(0, 2, 4, 4), (1, 0, 4, 2), (2, 0, 0, 2)],
    "fair": [(0, 4, 5, 4), (2, 3, 3, 4)],
    "void": [],
}


def pair(truth: list[int], prediction: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([truth], dtype=np.uint8), np.array([prediction], dtype=np.uint8)


MASKS: SmallMasks = {
    "good": pair([0, 2, 2, 255], [0, 2, 2, 0]),
    "bad": pair([2, 2, 2, 0], [1, 1, 2, 0]),
    "fair": pair([2, 0, 3, 3], [1, 1, 1, 0]),
    "void": pair([255], [0]),
}


def test_a_class_has_the_place_of_its_name_and_a_class_that_nobody_learned_counts_as_the_protocol_says() -> None:
    assert PLACES[[0, 1, 2, 3, 255]].tolist() == [0, 2, 1, -1, -1]
    assert class_places(NAMES, INDEX, "background")[[3, 255]].tolist() == [0, -1]
    assert class_places(NAMES[1:], INDEX, "ignore")[[0, 1, 2]].tolist() == [-1, 1, 0]


def test_the_worst_images_come_first_and_those_of_a_class_are_ranked_by_its_iou() -> None:
    assert class_ious(COUNTS["bad"]) == {0: pytest.approx(1 / 3), 1: 0, 2: 0}
    gallery = choose_images(COUNTS, MASKS, PLACES)
    assert [image_id for image_id, _ in gallery.worst] == ["bad", "fair", "good"]  # nothing of "void" is scored
    assert gallery.worst[0][1] == pytest.approx(1 / 9)
    assert gallery.worst_of[1] == [("bad", 0.0), ("good", 1.0)]
    assert gallery.worst_of[2] == [("fair", 0.75)]


def test_behind_a_cell_are_the_images_with_the_largest_share_of_its_pixels() -> None:
    behind = choose_images(COUNTS, MASKS, PLACES).behind
    assert behind[1, 2] == [("bad", 0.5), ("fair", 0.25)]  # a dog taken for a cat
    assert behind[1, 1] == [("good", 0.5), ("bad", 0.25)]
    assert (2, 2) not in behind


def test_a_full_page_takes_no_further_image_and_lists_those_that_it_has() -> None:
    gallery = choose_images(COUNTS, MASKS, PLACES, most=1)
    assert gallery.images == ["bad"]
    assert gallery.behind[1, 2] == [("bad", 0.5)]
    assert gallery.behind[1, 1] == [("bad", 0.25)]
