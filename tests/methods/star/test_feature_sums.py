"""The statistics of features: by hand, against the definition, and merged."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssul.methods.star.feature_sums import FeatureSums

STATISTICS = ("prototypes", "spread", "length_mean", "length_std")


def of_vectors(*vectors: tuple[float, float], classes: list[int], number: int = 2) -> FeatureSums:
    """Of features of two channels, one image a single row."""
    features = torch.tensor(vectors, dtype=torch.float64).T[None, :, None]
    return FeatureSums.of(features, torch.tensor(classes)[None, None], number)


def test_the_statistics_of_two_features_by_hand() -> None:
    sums = of_vectors((3, 4), (10, 0), classes=[1, 1])
    mean = torch.tensor([(0.6 + 1) / 2, (0.8 + 0) / 2], dtype=torch.float64)
    prototype = mean / math.hypot(*mean.tolist())
    assert sums.counts.tolist() == [0, 2]
    torch.testing.assert_close(sums.prototypes[1], prototype)
    p, q = prototype.tolist()
    around = [math.sqrt(((0.6 - p) ** 2 + (1 - p) ** 2) / 2), math.sqrt(((0.8 - q) ** 2 + (0 - q) ** 2) / 2)]
    assert sums.spread[1].tolist() == pytest.approx(around)
    assert (sums.length_mean[1].item(), sums.length_std[1].item()) == (7.5, 2.5)


def test_a_class_without_features_has_no_direction_and_no_length() -> None:
    sums = of_vectors((3, 4), classes=[1])
    assert all(not getattr(sums, name)[0].any() for name in STATISTICS)
    assert sums.spread[1].tolist() == pytest.approx([0, 0], abs=1e-7)
    assert sums.length_std[1].item() == 0


def test_cells_of_other_labels_are_left_out() -> None:
    alone, among = of_vectors((3, 4), classes=[0]), of_vectors((3, 4), (1, 1), (2, 1), classes=[0, -1, 2])
    assert all(torch.equal(getattr(alone, name), getattr(among, name)) for name in (*STATISTICS, "counts"))


@st.composite
def cells(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Features that are at least 0, as behind a ReLU, and the classes of their cells, of 0..2 and others."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    features = torch.randn(4, 5, 3, 4, generator=generator).relu() * draw(st.sampled_from([1e-3, 1.0, 1e3]))
    return features, torch.randint(-1, 5, (4, 3, 4), generator=generator)


@given(cells())
def test_the_statistics_are_those_of_the_definition(case: tuple[Tensor, Tensor]) -> None:
    features, classes = case
    sums = FeatureSums.of(features, classes, 3)
    for c in range(3):
        vectors = features.movedim(1, -1)[classes == c].double()
        assert sums.counts[c] == len(vectors)
        if not len(vectors):
            continue
        lengths = vectors.norm(dim=1)
        unit = vectors / lengths.clamp(min=1e-12)[:, None]
        prototype = unit.mean(0) / unit.mean(0).norm()
        close = {"rtol": 1e-9, "atol": 1e-7}
        torch.testing.assert_close(sums.prototypes[c], prototype, **close)
        torch.testing.assert_close(sums.spread[c], ((unit - prototype) ** 2).mean(0).sqrt(), **close)
        torch.testing.assert_close(sums.length_mean[c], lengths.mean())
        torch.testing.assert_close(sums.length_std[c], lengths.std(correction=0), rtol=1e-6, atol=1e-6)


@given(cells(), st.integers(1, 3))
def test_the_prototypes_of_a_set_are_those_of_its_parts_merged(case: tuple[Tensor, Tensor], cut: int) -> None:
    features, classes = case
    whole = FeatureSums.of(features, classes, 3)
    merged = FeatureSums.of(features[:cut], classes[:cut], 3) + FeatureSums.of(features[cut:], classes[cut:], 3)
    assert torch.equal(merged.counts, whole.counts)
    for name in STATISTICS:
        torch.testing.assert_close(getattr(merged, name), getattr(whole, name), rtol=1e-9, atol=1e-7)
