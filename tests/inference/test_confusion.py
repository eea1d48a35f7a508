"""The confusion matrix: scikit-learn's numbers, additive, and honest about absent classes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics
from torch import Tensor

from ssul.inference.confusion import ConfusionMatrix
from ssul.labels.ids import VOID

EvaluatedImage = tuple[int, Tensor, Tensor]


@st.composite
def judgements(draw: st.DrawFn) -> EvaluatedImage:
    """A number of classes, a truth with void, and a prediction."""
    classes = draw(st.integers(1, 6))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))
    known = st.integers(0, classes - 1)
    truth = draw(arrays.arrays(np.uint8, shape, elements=known | st.just(VOID)))
    prediction = draw(arrays.arrays(np.uint8, shape, elements=known))
    return classes, torch.from_numpy(truth), torch.from_numpy(prediction)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(judgements())
def test_counts_and_ious_are_scikit_learns(judged: EvaluatedImage) -> None:
    classes, truth, prediction = judged
    valid = truth != VOID
    flat_truth, flat_prediction = truth[valid].numpy(), prediction[valid].numpy()
    ours = ConfusionMatrix.of(truth, prediction, classes)
    if flat_truth.size == 0:
        assert ours.counts.sum() == 0
        return
    labels = list(range(classes))
    np.testing.assert_array_equal(
        ours.counts.numpy(), metrics.confusion_matrix(flat_truth, flat_prediction, labels=labels)
    )
    predicted, there = np.isin(labels, flat_prediction), np.isin(labels, flat_truth)
    ious = metrics.jaccard_score(flat_truth, flat_prediction, labels=labels, average=None, zero_division=0)
    recalls = metrics.recall_score(flat_truth, flat_prediction, labels=labels, average=None, zero_division=0)
    assert ours.iou() == [
        pytest.approx(value) if seen else None for value, seen in zip(ious, predicted | there, strict=True)
    ]
    assert ours.accuracy() == [
        pytest.approx(value) if seen else None for value, seen in zip(recalls, there, strict=True)
    ]
    assert ours.pixel_accuracy() == pytest.approx(metrics.accuracy_score(flat_truth, flat_prediction))


@given(judgements())
def test_images_counted_one_by_one_add_up_to_all_counted_at_once(judged: EvaluatedImage) -> None:
    classes, truth, prediction = judged
    total = ConfusionMatrix.empty(classes)
    for one_truth, one_prediction in zip(truth, prediction, strict=True):
        total += ConfusionMatrix.of(one_truth, one_prediction, classes)
    assert torch.equal(total.counts, ConfusionMatrix.of(truth, prediction, classes).counts)


def test_rows_are_the_truth_and_columns_the_prediction() -> None:
    matrix = ConfusionMatrix.of(torch.tensor([0, 0, 1, VOID]), torch.tensor([0, 1, 1, 0]), 2)
    assert matrix.counts.tolist() == [[1, 1], [0, 1]]
    assert matrix.iou() == [1 / 2, 1 / 2]
    assert matrix.accuracy() == [1 / 2, 1.0]
    assert matrix.pixel_accuracy() == 2 / 3


def test_the_most_classes_that_a_mask_can_hold_are_counted() -> None:
    last = torch.tensor([253, 253, 0, VOID], dtype=torch.uint8)
    matrix = ConfusionMatrix.of(last, torch.tensor([253, 0, 253, 253], dtype=torch.uint8), 254)
    assert matrix.counts.shape == (254, 254)
    assert matrix.counts.nonzero().tolist() == [[0, 253], [253, 0], [253, 253]]


def test_counting_changes_neither_truth_nor_prediction() -> None:
    truth, prediction = torch.tensor([0, VOID], dtype=torch.uint8), torch.tensor([1, 1], dtype=torch.uint8)
    ConfusionMatrix.of(truth, prediction, 2)
    assert (truth.tolist(), prediction.tolist()) == ([0, VOID], [1, 1])


def test_counts_are_exact_beyond_what_a_float_holds() -> None:
    many = ConfusionMatrix(torch.tensor([[2**53, 0], [0, 1]]))
    total = many + ConfusionMatrix.of(torch.tensor([0], dtype=torch.uint8), torch.tensor([0], dtype=torch.uint8), 2)
    assert total.counts.dtype == torch.int64
    assert total.counts[0, 0].item() == 2**53 + 1


def test_a_class_that_is_neither_there_nor_predicted_has_no_score() -> None:
    matrix = ConfusionMatrix(torch.tensor([[5, 0, 0], [0, 0, 0], [0, 0, 3]]))
    assert matrix.iou() == [1.0, None, 1.0]
    assert matrix.accuracy() == [1.0, None, 1.0]


def test_a_class_that_is_only_predicted_has_an_iou_of_nought_and_no_accuracy() -> None:
    matrix = ConfusionMatrix(torch.tensor([[5, 1], [0, 0]]))
    assert matrix.iou() == [5 / 6, 0.0]
    assert matrix.accuracy() == [5 / 6, None]


def test_nothing_counted_has_no_score_at_all() -> None:
    matrix = ConfusionMatrix.empty(2)
    assert matrix.iou() == [None, None]
    assert matrix.pixel_accuracy() is None
