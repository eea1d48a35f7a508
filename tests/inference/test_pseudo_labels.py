"""Pseudo-labels from low-resolution logits equal those of the logits at full resolution."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import ssul.inference.pseudo_labels
from ssul.inference.pseudo_labels import add_pseudo_labels_low_res
from ssul.labels.ids import VOID
from ssul.labels.scores import add_pseudo_labels
from ssul.labels.space import Activation, LabelSpace
from ssul.model.deeplab import upsample


@given(
    classes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    activation=st.sampled_from(["sigmoid", "softmax"]),
    unknown=st.booleans(),
    threshold=st.sampled_from([0.0, 0.3, 0.7, 0.99, 1.0]),
    centre=st.floats(-8, 3),
    size=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 1000),
)
def test_they_equal_those_of_all_upsampled_logits(
    classes: list[int],
    activation: Activation,
    unknown: bool,
    threshold: float,
    centre: float,
    size: tuple[int, int, int],
    seed: int,
) -> None:
    ids = iter(range(1, 200))
    old = LabelSpace(tuple(tuple(next(ids) for _ in range(count)) for count in classes), unknown, activation)
    generator = torch.Generator().manual_seed(seed)
    samples, height, width = size
    logits = centre + 4 * torch.randn(samples, old.num_channels, height, width, generator=generator)
    grown = old.with_step((200,))
    values = torch.tensor([*range(grown.first_class_channel), grown.num_channels - 1, VOID], dtype=torch.uint8)
    target = values[torch.randint(len(values), (samples, 5 * height, 4 * width + 1), generator=generator)]
    expected = add_pseudo_labels(old, target, upsample(logits, target), threshold)
    assert torch.equal(add_pseudo_labels_low_res(old, target, logits, threshold), expected)


@pytest.fixture
def channels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many channels are upsampled for each image."""
    seen: list[int] = []
    original: Callable[[Tensor, Tensor], Tensor] = upsample

    def counting(logits: Tensor, images: Tensor, **how: bool) -> Tensor:
        seen.append(logits.shape[1])
        return original(logits, images, **how)

    monkeypatch.setattr(ssul.inference.pseudo_labels, "upsample", counting)
    return seen


def test_only_channels_above_the_threshold_are_upsampled(channels: list[int]) -> None:
    old = LabelSpace((tuple(range(1, 101)),), unknown=True, activation="sigmoid")
    logits = torch.full((3, 102, 4, 4), -5.0)
    logits[0, 7, 0, 3] = logits[0, 60, 3, 0] = 5.0
    logits[1, 0] = 5.0  # the unknown alone needs no upsampling
    logits[2, 1, 0], logits[2, 101] = 5.0, 4.0
    target = torch.zeros(3, 32, 32, dtype=torch.uint8)
    completed = add_pseudo_labels_low_res(old, target, logits, 0.7)
    assert channels == [2, 2]
    assert set(completed[0].unique().tolist()) == {0, 7, 60}
    assert (completed[1] == 0).all()
    assert set(completed[2].unique().tolist()) == {0, 101}  # the background wins above


def test_annotated_pixels_get_no_pseudo_label() -> None:
    old = LabelSpace(((1, 2),), unknown=True, activation="sigmoid")
    logits = torch.full((1, 4, 2, 2), -5.0)
    logits[:, 3] = 5.0
    target = torch.tensor([[[0, 1], [4, VOID]]], dtype=torch.uint8)
    assert add_pseudo_labels_low_res(old, target, logits, 0.7).tolist() == [[[3, 3], [4, VOID]]]
