"""The numbers of features: what is replayed, and what is handed on, by hand for both kinds of settings."""

import pytest
import torch

from ssul.methods.star.feature_sums import FeatureSums
from ssul.methods.star.kept import Kept
from tests.methods.star.past import kept_of_three

PREDICTED = torch.tensor([100, 8, 20, 0])  # of nothing, and of the three old classes


def learned(channels: int = 16) -> FeatureSums:
    """A new class of two features."""
    features = torch.ones(1, channels, 1, 3)
    return FeatureSums.of(features, torch.tensor([[[0, 0, -1]]]), 1)


@pytest.mark.parametrize(
    ("overlapped", "numbers"),
    [
        pytest.param(True, [(50 - 8) // 4, 0, 30 // 4], id="overlapped: what this step's images lack"),
        pytest.param(False, [50 // 4, 9 // 4, 30 // 4], id="disjoint: all of them"),
    ],
)
def test_a_pass_replays_what_old_classes_lack(overlapped: bool, numbers: list[int]) -> None:
    kept = kept_of_three(overlapped=overlapped)
    assert kept.features_per_iteration(PREDICTED, 4).tolist() == numbers


def test_a_class_of_which_no_pixel_was_seen_is_not_replayed() -> None:
    kept = kept_of_three(overlapped=False)
    kept.prototypes[0] = 0
    assert kept.features_per_iteration(PREDICTED, 1).tolist() == [0, 9, 30]


@pytest.mark.parametrize(
    ("overlapped", "nothing", "ratio"),
    [
        pytest.param(True, 100, 80 * 0.98 / 100 - 0.5, id="overlapped, two new classes"),
        pytest.param(True, 1000, 0.0, id="overlapped, more than enough"),
        pytest.param(False, 100, 80 / 100, id="disjoint"),
        pytest.param(True, 0, 0.0, id="no such pixel"),
    ],
)
def test_the_background_counts_as_often_as_it_lacks(overlapped: bool, nothing: int, ratio: float) -> None:
    predicted = torch.tensor([nothing, 8, 20, 0])
    assert kept_of_three(overlapped=overlapped).background_ratio(predicted, 2) == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("overlapped", "counts", "background"),
    [
        pytest.param(True, [50, 9, 30, 2], 80 * 0.99 + 0.5 * 100, id="overlapped"),
        pytest.param(False, [58, 29, 30, 2], 80 + 100, id="disjoint"),
    ],
)
def test_counts_are_handed_on(overlapped: bool, counts: list[int], background: float) -> None:
    before = kept_of_three(overlapped=overlapped)
    after = before.after_increment(learned(), PREDICTED)
    assert after.counts.tolist() == counts
    assert after.background.item() == pytest.approx(background)
    assert bool(after.images_repeat) is overlapped
    assert before.counts.tolist() == [50, 9, 30]
    for name in ("prototypes", "spread", "length_mean", "length_std"):
        old, new = getattr(after, name).split([3, 1])
        assert torch.equal(old, getattr(before, name))
        torch.testing.assert_close(new, getattr(learned(), name).float())


def test_the_base_step_counts_its_own_pixels() -> None:
    kept = Kept.after_base(learned(), 7, images_repeat=True)
    assert (kept.counts.tolist(), kept.background.item()) == ([2], 7.0)
    assert kept.prototypes.dtype == torch.float32
    again = Kept.of(kept.tensors)
    assert all(torch.equal(tensor, kept.tensors[name]) for name, tensor in again.tensors.items())
