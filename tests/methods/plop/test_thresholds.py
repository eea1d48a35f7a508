"""PLOP's entropies and their medians: by hand, against torch, and against the published search."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssul.methods.plop.thresholds import (
    ExactMedians,
    PublishedMedians,
    normalised_entropy,
    published_entropy,
    published_median,
)
from tests.methods.plop.textbook import published_threshold

# ---- entropy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [2, 3, 21])
def test_entropy_is_1_for_even_scores_and_0_for_certain_ones(channels: int) -> None:
    even = torch.full((1, channels, 1, 1), 1 / channels)
    certain = torch.zeros(1, channels, 1, 1)
    certain[0, 1] = 1.0
    assert normalised_entropy(even).item() == pytest.approx(1.0)
    assert normalised_entropy(certain).item() == 0.0


@given(st.integers(2, 20), st.integers(0, 1000))
def test_entropy_is_torchs_over_its_maximum(channels: int, seed: int) -> None:
    scores = (3 * torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(seed))).softmax(dim=1)
    theirs = torch.distributions.Categorical(probs=scores.movedim(1, -1)).entropy() / math.log(channels)
    torch.testing.assert_close(normalised_entropy(scores), theirs, rtol=1e-4, atol=1e-5)


def test_the_published_entropy_takes_the_mean_for_the_sum() -> None:
    scores = (2 * torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).softmax(1)
    torch.testing.assert_close(published_entropy(scores), normalised_entropy(scores) / 5, rtol=1e-6, atol=1e-8)


# ---- medians --------------------------------------------------------------------------------------------------------

entropies = st.one_of(
    st.floats(0, 1, width=32), st.sampled_from([0.0, -0.0, 1.0, 0.5, 0.25, float(np.nextafter(np.float32(0.5), 1))])
)


@given(st.lists(st.lists(st.tuples(entropies, st.integers(0, 1)), max_size=12), max_size=4))
def test_medians_are_torchs_to_the_bit_however_the_values_come(parts: list[list[tuple[float, int]]]) -> None:
    tally = ExactMedians(3)
    for _ in range(tally.passes):
        for part in parts:
            values = torch.tensor([value for value, _ in part], dtype=torch.float32)
            tally.add(values, torch.tensor([kind for _, kind in part], dtype=torch.int64))
        tally.next_pass()
    found = tally.medians()
    for kind in range(3):
        values = torch.tensor([value for part in parts for value, k in part if k == kind], dtype=torch.float32)
        assert found[kind] == (values.median() if len(values) else 0.0)


@pytest.mark.parametrize("count", [1, 2, 9999, 10000])
def test_medians_of_many_values_that_share_their_upper_bits_are_exact(count: int) -> None:
    values = 0.7 + 1e-4 * torch.rand(count, generator=torch.Generator().manual_seed(count))
    tally = ExactMedians(2)
    for _ in range(tally.passes):
        tally.add(values, torch.ones(count, dtype=torch.int64))
        tally.next_pass()
    assert tally.medians().tolist() == [0.0, values.median().item()]


@given(st.dictionaries(st.integers(0, 99), st.integers(1, 5000), max_size=8), st.sampled_from([1, 1, 100]))
def test_published_medians_add_indices_of_bins_for_counts(filled: dict[int, int], times: int) -> None:
    counts = [times * filled.get(place, 0) for place in range(100)]
    assert published_median(counts) == pytest.approx(published_threshold(counts), rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    ("filled", "threshold"),
    [
        pytest.param({}, 0.0, id="no pixel"),
        pytest.param({0: 4}, 0.005, id="all in the first bin: half of it"),
        pytest.param({0: 2, 2: 8}, 0.02 + (5 - 1) / 8 / 100, id="before bin 2 stand the indices 0 and 1, not 2 pixels"),
        pytest.param({50: 1000}, -math.inf, id="the indices overtake the pixels: all is refused"),
        pytest.param(
            {10: 9000, 20: 9000, 30: 9000}, math.inf, id="the indices never reach the pixels: all is accepted"
        ),
    ],
)
def test_published_medians_by_hand(filled: dict[int, int], threshold: float) -> None:
    assert published_median([filled.get(place, 0) for place in range(100)]) == pytest.approx(threshold)


def test_the_histogram_counts_values_in_bins_of_a_hundredth() -> None:
    tally = PublishedMedians(3)
    tally.add(torch.tensor([0.0, 0.0099, 0.5, 0.999, 1.0]), torch.tensor([0, 0, 0, 2, 2]))
    tally.add(torch.tensor([0.5]), torch.tensor([0]))
    tally.next_pass()
    assert tally.counts.nonzero().tolist() == [[0, 0], [0, 50], [2, 99]]
    assert tally.counts[[0, 0, 2], [0, 50, 99]].tolist() == [2, 2, 2]
    assert tally.medians().shape == (3,)
