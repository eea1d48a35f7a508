"""The label statistics of a batch, counted by hand."""

import pytest
import torch
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.training.objective import label_statistics

UNKNOWN = LabelSpace(((1, 2), (3,)), unknown=True, activation="sigmoid")
NONE = LabelSpace(((1, 2), (3,)), unknown=False, activation="softmax")


def of(*rows: list[int]) -> Tensor:
    """A batch of one image."""
    return torch.tensor([rows], dtype=torch.uint8)


def shares(target: Tensor, completed: Tensor, labels: LabelSpace) -> dict[str, float]:
    return {name: share.item() for name, share in label_statistics(target, completed, labels).items()}


def test_pseudo_labels_and_the_unknown_are_counted_among_valid_pixels() -> None:
    target = of([0, 0, 1, 4, 4], [0, 1, 1, VOID, VOID])
    completed = of([2, 0, 1, 4, 4], [0, 3, 1, VOID, VOID])
    assert shares(target, completed, UNKNOWN) == {"pseudo_share": 2 / 8, "unknown_share": 2 / 8}


def test_without_an_unknown_class_channel_0_is_the_background_and_is_not_counted() -> None:
    assert shares(of([0, 0, 3, VOID]), of([1, 0, 3, VOID]), NONE) == {"pseudo_share": pytest.approx(1 / 3)}


def test_only_a_completed_target_has_a_share_of_pseudo_labels() -> None:
    target = of([0, 1, 2, 2])
    assert shares(target, target, UNKNOWN) == {"unknown_share": 0.25}
    assert shares(target, target, NONE) == {}
    assert shares(target, target.clone(), NONE) == {"pseudo_share": 0.0}


@pytest.mark.parametrize("labels", [UNKNOWN, NONE])
def test_a_batch_of_void_has_shares_of_zero(labels: LabelSpace) -> None:
    void = of([VOID, VOID])
    assert set(shares(void, void.clone(), labels).values()) == {0.0}


def test_all_images_of_a_batch_count_together() -> None:
    target = torch.tensor([[[0, 0]], [[1, 2]]], dtype=torch.uint8)
    completed = torch.tensor([[[3, 0]], [[1, 2]]], dtype=torch.uint8)
    assert shares(target, completed, UNKNOWN) == {"pseudo_share": 0.25, "unknown_share": 0.25}
