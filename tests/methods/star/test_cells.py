"""Labels at the features' resolution."""

import pytest
import torch
from torch import Tensor

from ssul.methods.star.cells import at_cell_centres, covered_share


def columns_taken(pixels: int, cells: int) -> list[int]:
    labels = torch.arange(pixels).expand(1, 5, pixels)
    return at_cell_centres(labels, torch.zeros(1, 3, 2, cells))[0, 0].tolist()


@pytest.mark.parametrize(
    ("pixels", "cells", "expected"),
    [
        pytest.param(512, 32, list(range(8, 512, 16)), id="the published crop and stride"),
        pytest.param(64, 8, list(range(4, 64, 8)), id="a stride of 8"),
        pytest.param(33, 5, [3, 9, 16, 23, 29], id="a side that the cells do not divide"),
        pytest.param(1, 1, [0], id="one pixel"),
    ],
)
def test_a_cell_has_the_label_of_its_middle(pixels: int, cells: int, expected: list[int]) -> None:
    assert columns_taken(pixels, cells) == expected


def test_rows_and_columns_are_taken_by_themselves() -> None:
    labels = torch.arange(2 * 4 * 6).reshape(2, 4, 6)
    assert at_cell_centres(labels, torch.zeros(2, 1, 2, 3)).tolist() == labels[:, [1, 3]][:, :, [1, 3, 5]].tolist()


def test_a_mask_is_shrunk_bilinearly() -> None:
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[0, 0, 0, 1], mask[0, 0, 2:, 2:] = True, True
    shares: Tensor = covered_share(mask, torch.zeros(1, 7, 2, 2, dtype=torch.float64))
    assert shares.tolist() == [[[[0.25, 0.0], [0.0, 1.0]]]]
    assert shares.dtype == torch.float64
    assert covered_share(mask, torch.zeros(1, 7, 2, 2, dtype=torch.bfloat16)).dtype == torch.float32
