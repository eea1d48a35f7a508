"""Processes that share the images keep together what one process keeps."""

from collections.abc import Sequence

import numpy as np
import torch

from ssul.data.dataset import LabeledImage
from ssul.evaluation.evaluate import EvaluatedImage
from ssul.evaluation.observed import Observed
from ssul.inference.confusion import ConfusionMatrix

IDS = [f"image {number}" for number in range(7)]
SCORED, SHOWN = set(IDS) - {"image 4"}, {"image 0", "image 3", "image 4"}


def evaluated(ids: Sequence[str]) -> list[EvaluatedImage]:
    """Images of random pixels, the same for the same id."""
    found = []
    for image_id in ids:
        pixels = torch.Generator().manual_seed(IDS.index(image_id))
        truth, prediction = torch.randint(0, 3, (2, 5, 6), generator=pixels).to(torch.uint8)
        image = LabeledImage(image_id, torch.zeros(3, 5, 6, dtype=torch.uint8), truth, None)
        found.append(EvaluatedImage(image, prediction, ConfusionMatrix.of(truth, prediction, 3)))
    return found


def observed(ids: Sequence[str]) -> Observed:
    return Observed.of(evaluated(ids), 3, scored=SCORED, shown=SHOWN)


def test_scored_images_are_counted_and_others_may_still_be_shown() -> None:
    found = observed(IDS)
    assert list(found.counts) == list(found.masks) == [one for one in IDS if one in SCORED]
    assert [one.image.id for one in found.shown] == ["image 0", "image 3", "image 4"]
    assert found.confusion.counts.sum() == len(SCORED) * 5 * 6


def test_the_parts_of_three_processes_are_the_whole_in_its_order() -> None:
    whole, joined = observed(IDS), Observed.joined([observed(IDS[rank::3]) for rank in range(3)], IDS)
    assert torch.equal(joined.confusion.counts, whole.confusion.counts)
    assert list(joined.counts.items()) == list(whole.counts.items())
    assert list(joined.masks) == list(whole.masks)
    assert all(np.array_equal(joined.masks[one], whole.masks[one]) for one in whole.masks)
    assert [one.image.id for one in joined.shown] == [one.image.id for one in whole.shown]


def test_a_process_without_images_adds_nothing() -> None:
    whole, joined = observed(IDS), Observed.joined([observed([]), observed(IDS)], IDS)
    assert torch.equal(joined.confusion.counts, whole.confusion.counts)
    assert joined.counts == whole.counts
