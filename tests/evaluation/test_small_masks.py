"""The small masks of each image come back as they were written, and damage is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ssul.config.paths import SMALL_MASKS
from ssul.errors import UserError
from ssul.evaluation.evaluate import shrink
from ssul.evaluation.small_masks import SmallMasks, read_masks, write_masks


def test_masks_come_back_and_their_file_has_the_same_bytes_twice(tmp_path: Path) -> None:
    truth = np.array([[0, 255, 7]], dtype=np.uint8)
    masks: SmallMasks = {"town/street 7.a": (truth, truth[:, ::-1].copy()), "c": (truth.T.copy(), truth.T.copy())}
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_masks(tmp_path / name, masks)
        written.append((tmp_path / name / SMALL_MASKS).read_bytes())
    assert written[0] == written[1]
    found = read_masks(tmp_path / "one")
    assert list(found) == list(masks)
    for name, pair in masks.items():
        for one, other in zip(found[name], pair, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_missing_and_damaged_masks_are_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / SMALL_MASKS).write_bytes(content)
    with pytest.raises(UserError, match=r"masks .*masks\.zip cannot be read .*dvc repro"):
        read_masks(tmp_path)


def test_a_large_mask_keeps_its_shape_and_pixels_of_its_own() -> None:
    mask = torch.arange(6 * 4, dtype=torch.uint8).reshape(6, 4)
    assert shrink(mask, 3).tolist() == [[5, 7], [13, 15], [21, 23]]
    assert shrink(mask, 6).tolist() == mask.tolist()
    assert shrink(torch.zeros(1, 900, dtype=torch.uint8), 3).shape == (1, 3)
