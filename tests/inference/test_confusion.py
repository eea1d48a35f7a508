"""The confusion matrix: scikit-learn's numbers, additive, and without scores of absent classes."""

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

Batch = tuple[int, Tensor, Tensor]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """A number of classes, a ground truth with void, and a prediction."""
    classes = draw(st.integers(1, 6))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))
    known = st.integers(0, classes - 1)
    truth = draw(arrays.arrays(np.uint8, shape, elements=known | st.just(VOID)))
    prediction = draw(arrays.arrays(np.uint8, shape, elements=known))
    return classes, torch.from_numpy(truth), torch.from_numpy(prediction)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(batches())
def test_counts_and_scores_are_scikit_learns(batch: Batch) -> None:
    classes, truth, prediction = batch
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


@given(batches())
def test_the_counts_of_images_add_up(batch: Batch) -> None:
    classes, truth, prediction = batch
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


def test_254_classes_are_counted() -> None:
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


@pytest.mark.parametrize(
    ("counts", "iou", "accuracy"),
    [
        pytest.param([[5, 0, 0], [0, 0, 0], [0, 0, 3]], [1.0, None, 1.0], [1.0, None, 1.0], id="absent, not predicted"),
        pytest.param([[5, 1], [0, 0]], [5 / 6, 0.0], [5 / 6, None], id="absent, but predicted"),
        pytest.param([[0, 0], [0, 0]], [None, None], [None, None], id="nothing counted"),
    ],
)
def test_scores_of_absent_classes(
    counts: list[list[int]], iou: list[float | None], accuracy: list[float | None]
) -> None:
    matrix = ConfusionMatrix(torch.tensor(counts))
    assert (matrix.iou(), matrix.accuracy()) == (iou, accuracy)
    assert (matrix.pixel_accuracy() is None) == (matrix.counts.sum() == 0)
