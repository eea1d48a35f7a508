"""Pseudo-labels, folded scores and predictions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.labels.scores import add_pseudo_labels, fold_unknown, predict, pseudo_labels
from ssul.labels.space import Activation, LabelSpace
from tests.labels.spaces import BASE, label_spaces


def noise(seed: int, *shape: int) -> Tensor:
    return 3.0 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(*columns: list[float]) -> Tensor:
    """Logits (1, K, 1, W), one column per pixel."""
    return torch.tensor(columns).T[None, :, None, :]


# --- pseudo-labels ----------------------------------------------------------------------------------------------------

SURE, UNSURE, LOW = 2.0, 0.5, -4.0


def test_pseudo_labels_fill_only_unknown_and_background_where_the_old_network_is_sure_of_a_class() -> None:
    cases = {  # name: (target, old logits [unknown, background, 3, 1], expected)
        "unknown, sure of a class": (0, [LOW, LOW, SURE, LOW], 2),
        "background, sure of a class": (1, [LOW, LOW, LOW, SURE], 3),
        "annotated": (4, [LOW, LOW, SURE, LOW], 4),
        "annotated with another old class": (3, [LOW, LOW, SURE, LOW], 3),
        "void": (VOID, [LOW, LOW, LOW, SURE], VOID),
        "sure of background": (1, [LOW, SURE, LOW, LOW], 1),
        "unknown, sure of background": (0, [LOW, SURE, LOW, LOW], 0),
        "sure of unknown": (1, [SURE, LOW, LOW, LOW], 1),
        "a class best, but not sure": (0, [LOW, LOW, UNSURE, LOW], 0),
        "sure of a class, surer of background": (1, [LOW, SURE + 1, SURE, LOW], 1),
    }
    target = torch.tensor([[[target for target, _, _ in cases.values()]]], dtype=torch.uint8)
    filled = add_pseudo_labels(BASE, target, pixels(*(logits for _, logits, _ in cases.values())), threshold=0.7)
    assert dict(zip(cases, filled.flatten().tolist(), strict=True)) == {name: case[2] for name, case in cases.items()}
    assert filled.dtype == torch.uint8


def test_an_auxiliary_class_takes_no_pseudo_label_away() -> None:
    labels = replace(BASE, constant_background=True)  # [auxiliary][background, always 0][3][1]
    logits = pixels([9.0, 0.0, SURE, LOW], [9.0, 0.0, LOW, SURE], [9.0, 0.0, UNSURE, LOW], [9.0, 0.0, LOW, LOW])
    assert pseudo_labels(labels, logits, threshold=0.7).flatten().tolist() == [2, 3, VOID, VOID]
    some = torch.tensor([0, 1, 3])
    assert pseudo_labels(labels, logits[:, some], 0.7, some).flatten().tolist() == [VOID, 3, VOID, VOID]


def test_a_score_at_the_threshold_is_enough() -> None:
    below = float(np.nextafter(np.float32(0.0), np.float32(-1.0)))
    logits = pixels([LOW, LOW, 0.0, LOW], [LOW, LOW, below, LOW])  # sigmoid(0) is exactly 0.5
    assert pseudo_labels(BASE, logits, threshold=0.5).flatten().tolist() == [2, VOID]
    logits = pixels([-math.inf, 0.0, 0.0, -math.inf])  # two channels share: exactly 0.5 each, the first is taken
    softmax = LabelSpace(((3, 1, 2),), unknown=False, activation="softmax")
    assert pseudo_labels(softmax, logits, threshold=0.5).flatten().tolist() == [1]
    assert pseudo_labels(softmax, logits, threshold=0.50001).flatten().tolist() == [VOID]


def test_softmax_scores_compete_where_sigmoid_scores_do_not() -> None:
    logits = pixels([LOW, LOW, 2.0, 2.1])  # two classes, both likely
    softmax = LabelSpace(BASE.groups, unknown=True, activation="softmax")
    assert pseudo_labels(BASE, logits, threshold=0.7).flatten().tolist() == [3]
    assert pseudo_labels(softmax, logits, threshold=0.7).flatten().tolist() == [VOID]


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_threshold_zero_takes_every_best_class(activation: Activation) -> None:
    labels = LabelSpace(BASE.groups, unknown=True, activation=activation)
    logits = pixels([LOW, 2 * LOW, LOW + 1, LOW], [LOW + 1, LOW, LOW, LOW])
    assert pseudo_labels(labels, logits, threshold=0.0).flatten().tolist() == [2, VOID]


@given(label_spaces(), st.integers(0, 2**32), st.floats(0.05, 0.95))
def test_the_threshold_means_the_score(labels: LabelSpace, seed: int, threshold: float) -> None:
    """In particular, comparing logits is comparing sigmoids."""
    logits = noise(seed, 2, labels.num_channels, 3, 5)
    scores = logits.sigmoid() if labels.activation == "sigmoid" else logits.softmax(dim=1)
    if labels.unknown and labels.constant_background:
        scores[:, labels.unknown_channel] = -1  # auxiliary
    best, channel = scores.max(dim=1)
    expected = torch.where((best >= threshold) & (channel >= labels.first_class_channel), channel, VOID)
    decided = (best - threshold).abs() > 1e-6  # closer than that is rounding
    found = pseudo_labels(labels, logits, threshold)
    assert torch.equal(found[decided].long(), expected[decided])


@given(label_spaces(), st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_a_pseudo_label_is_never_background_or_unknown(labels: LabelSpace, seed: int, threshold: float) -> None:
    found = pseudo_labels(labels, noise(seed, 2, labels.num_channels, 3, 5), threshold)
    assert (found >= labels.first_class_channel).all()
    assert ((found < labels.num_channels) | (found == VOID)).all()


@given(label_spaces(), st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_pseudo_labels_change_no_annotated_and_no_void_pixel(labels: LabelSpace, seed: int, threshold: float) -> None:
    grown = labels.with_step((100, 101))
    values = torch.tensor([*range(grown.num_channels), VOID], dtype=torch.uint8)
    generator = torch.Generator().manual_seed(seed)
    target = values[torch.randint(len(values), (2, 4, 5), generator=generator)]
    before = target.clone()
    logits = noise(seed, 2, labels.num_channels, 4, 5)
    filled = add_pseudo_labels(labels, target, logits, threshold)
    fillable = before <= labels.background_channel
    assert torch.equal(filled[~fillable], before[~fillable])
    found = pseudo_labels(labels, logits, threshold)
    assert torch.equal(filled[fillable], torch.where(found == VOID, before, found)[fillable])
    assert torch.equal(target, before)


# --- scores and predictions -------------------------------------------------------------------------------------------


def test_the_unknown_score_counts_as_background_and_softmax_scores_still_sum_to_one() -> None:
    scores = fold_unknown(BASE, pixels([0.0, 0.0, 100.0, -100.0]))
    assert scores.flatten().tolist() == pytest.approx([1.0, 1.0, 0.0])
    softmax = LabelSpace(BASE.groups, unknown=True, activation="softmax")
    scores = fold_unknown(softmax, pixels([math.log(1.0), math.log(2.0), math.log(3.0), math.log(4.0)]))
    assert scores.flatten().tolist() == pytest.approx([0.3, 0.3, 0.4])


@given(label_spaces(unknown=False), st.integers(0, 2**32))
def test_without_an_unknown_channel_there_is_nothing_to_fold(labels: LabelSpace, seed: int) -> None:
    logits = noise(seed, 1, labels.num_channels, 2, 3)
    expected = logits.sigmoid() if labels.activation == "sigmoid" else logits.softmax(dim=1)
    assert torch.equal(fold_unknown(labels, logits), expected)


def test_background_and_unknown_together_can_beat_a_class() -> None:
    logits = torch.logit(torch.tensor([[0.4, 0.3, 0.6, 0.1], [0.1, 0.2, 0.6, 0.1]])).T[None, :, None, :]
    assert predict(BASE, logits).flatten().tolist() == [0, 1]


def test_classes_whose_scores_are_rounded_to_one_still_differ() -> None:
    assert predict(BASE, pixels([-50.0, -50.0, 30.0, 40.0])).flatten().tolist() == [2]


@given(label_spaces(), st.integers(0, 2**32))
def test_a_prediction_is_the_arg_max_of_the_folded_scores(labels: LabelSpace, seed: int) -> None:
    logits = noise(seed, 2, labels.num_channels, 3, 5)
    scores = fold_unknown(labels, logits)
    best = scores.topk(2, dim=1).values
    decided = best[:, 0] - best[:, 1] > 1e-6  # closer than that is rounding
    assert torch.equal(predict(labels, logits)[decided].long(), scores.argmax(dim=1)[decided])


@given(label_spaces(), st.integers(0, 2**32))
def test_without_a_background_a_prediction_is_the_best_class(labels: LabelSpace, seed: int) -> None:
    logits = noise(seed, 2, labels.num_channels, 3, 5)
    best = logits[:, -len(labels.classes) :].argmax(dim=1)
    learned = torch.tensor(labels.classes, dtype=torch.uint8)
    assert torch.equal(labels.decode(predict(labels, logits, background=False)), learned[best])


@given(label_spaces(), st.integers(0, 2**32))
def test_a_prediction_decodes_to_background_or_a_learned_class(labels: LabelSpace, seed: int) -> None:
    indices = predict(labels, noise(seed, 2, labels.num_channels, 3, 4))
    assert indices.dtype == torch.uint8
    assert set(labels.decode(indices).flatten().tolist()) <= {0, *labels.classes}


@given(st.booleans(), st.integers(0, 2**32))
def test_beside_a_constant_background_a_class_wins_where_its_sigmoid_exceeds_a_half(unknown: bool, seed: int) -> None:
    labels = LabelSpace(((3, 1), (2,)), unknown, "sigmoid", constant_background=True)
    logits = noise(seed, 2, labels.num_channels, 3, 5)
    logits[:, labels.background_channel] = 0
    best, index = logits[:, labels.first_class_channel :].sigmoid().max(dim=1)
    expected = torch.where(best > 0.5, index + 1, 0)
    assert torch.equal(predict(labels, logits).long(), expected)
    if unknown:  # the auxiliary class has no part in it
        logits[:, labels.unknown_channel] = 100
        assert torch.equal(predict(labels, logits).long(), expected)
