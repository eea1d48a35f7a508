"""Paired differences: by hand, and against plain Python that draws one image at a time."""

import random

import numpy as np
import pytest

from ssul.errors import UserError
from ssul.evaluation.image_counts import ImageCounts
from ssul.report.paired import CountedRun, paired_differences


def random_run(seed: int, images: int = 20, classes: int = 4) -> CountedRun:
    """Random confusion matrices of images, background included, of which the base step learned two classes."""
    chance = np.random.default_rng(seed)
    counts: ImageCounts = {}
    for number in range(images):
        matrix = chance.integers(0, 9, (classes, classes)) * chance.integers(0, 2, (classes, 1))
        counts[f"image {number}"] = [
            (place, int(matrix[place, place]), int(matrix[place].sum()), int(matrix[:, place].sum()))
            for place in range(classes)
        ]
    return CountedRun(counts, base_classes=2)


def means(run: CountedRun, ids: list[str]) -> dict[str, float]:
    """The scores over images that may repeat, in plain Python."""
    iou: list[float | None] = []
    for place in range(4):
        counts = [one[1:] for image_id in ids for one in run.counts[image_id] if one[0] == place]
        right, true, predicted = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
        iou.append(right / (true + predicted - right) if true + predicted else None)
    found = {name: np.mean([one for one in iou[part] if one is not None]).item() for name, part in PARTS.items()}
    return found | {"hiou": 2 / (1 / found["old"] + 1 / found["new"]) if found["old"] and found["new"] else 0.0}


PARTS = {"old": slice(0, 3), "new": slice(3, 4), "all": slice(0, 4)}


def test_the_difference_is_that_of_the_scores_and_its_interval_that_of_images_drawn_one_by_one() -> None:
    pairs = [(random_run(seed), random_run(seed + 10)) for seed in range(3)]
    found = paired_differences(pairs)
    ids = list(pairs[0][0].counts)
    chance = random.Random(5)
    drawn = [chance.choices(ids, k=len(ids)) for _ in range(400)]
    for name in (*PARTS, "hiou"):

        def mean_difference(some: list[str], name: str = name) -> float:
            return float(np.mean([means(b, some)[name] - means(a, some)[name] for a, b in pairs]))

        assert found[name].mean == pytest.approx(mean_difference(ids))
        assert found[name].mean == pytest.approx(np.mean(found[name].pairs))
        low, high = np.quantile([mean_difference(some) for some in drawn], [0.025, 0.975])
        width = high - low
        assert found[name].low == pytest.approx(low, abs=0.15 * width)
        assert found[name].high == pytest.approx(high, abs=0.15 * width)


def test_equal_runs_differ_by_nothing_and_a_run_without_later_classes_has_no_new() -> None:
    run = CountedRun({"a": [(0, 2, 3, 4), (1, 1, 1, 1)], "b": [(0, 1, 1, 1)]}, base_classes=1)
    found = paired_differences([(run, run)])
    assert found.keys() == {"old", "all"}
    assert (found["all"].low, found["all"].mean, found["all"].high) == (0, 0, 0)


def test_a_new_class_that_one_image_shows_has_an_interval_without_the_draws_that_lack_it() -> None:
    first = CountedRun({"a": [(0, 9, 9, 9)], "b": [(0, 9, 9, 9), (1, 1, 2, 1)]}, base_classes=0)
    second = CountedRun({"a": [(0, 9, 9, 9)], "b": [(0, 9, 9, 9), (1, 2, 2, 2)]}, base_classes=0)
    new = paired_differences([(first, second)])["new"]
    assert (new.mean, new.low, new.high) == (0.5, 0.5, 0.5)


def test_hiou_is_zero_where_nothing_of_the_new_or_of_both_is_right() -> None:
    nothing = CountedRun({"a": [(0, 0, 4, 0), (1, 0, 4, 0)]}, base_classes=0)
    half = CountedRun({"a": [(0, 2, 4, 2), (1, 2, 4, 2)]}, base_classes=0)
    assert paired_differences([(nothing, half)])["hiou"].mean == 0.5


def test_a_background_that_no_image_shows_is_not_scored() -> None:
    first = CountedRun({"a": [(0, 0, 0, 5), (1, 4, 8, 4)]}, base_classes=1)
    second = CountedRun({"a": [(1, 8, 8, 8)]}, base_classes=1)
    assert paired_differences([(first, second)])["all"].mean == pytest.approx(0.5)


def test_without_a_background_the_first_classes_are_those_of_the_base_step() -> None:
    first = CountedRun({"a": [(0, 4, 8, 4), (1, 2, 2, 2)]}, base_classes=1, background=False)
    second = CountedRun({"a": [(0, 8, 8, 8), (1, 2, 2, 2)]}, base_classes=1, background=False)
    found = paired_differences([(first, second)])
    assert (found["old"].mean, found["new"].mean) == (0.5, 0.0)


def test_a_known_class_that_no_mask_shows_is_not_scored_although_it_is_predicted() -> None:
    counts: ImageCounts = {"a": [(0, 8, 8, 8), (1, 0, 0, 6), (2, 4, 4, 4), (3, 3, 6, 3)]}
    learned = CountedRun(counts, base_classes=2)
    known = CountedRun(counts, base_classes=2, known=True)
    found = paired_differences([(learned, known)])
    assert found["old"].mean == pytest.approx(1 - 2 / 3)
    assert (found["all"].mean, found["new"].mean) == (pytest.approx(2.5 / 3 - 2.5 / 4), 0)


def test_runs_on_other_images_are_refused() -> None:
    one, other = CountedRun({"a": [(0, 1, 1, 1)]}, 1), CountedRun({"b": [(0, 1, 1, 1)]}, 1)
    with pytest.raises(UserError, match="not evaluated on the same images"):
        paired_differences([(one, other)])
