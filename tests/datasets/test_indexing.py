"""What is advised where images of a described dataset cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssul.config.load import parse_params
from ssul.config.paths import Layout
from ssul.data.layout import ImagePaths, SplitFiles
from ssul.datasets.indexing import scan_splits
from ssul.datasets.prepare import Preparation
from ssul.errors import UserError
from tests.conftest import HandmadeDataset
from tests.project import composed

PLACES = {"image": "photos/{id}.png", "mask": "masks/{id}.png"}


def refusal(root: Path, masks: dict[str, list[int]], **described: Any) -> str:
    """The message of indexing a dataset of two classes, of which `b` is drawn for validation."""
    book = HandmadeDataset(ImagePaths(root, SplitFiles(**PLACES)))
    for image_id, values in masks.items():
        book.add(image_id, [values], image=np.zeros((1, len(values), 3)))
    custom = {"classes": ["hat", "ball"], "train": PLACES, "val_share": 0.5, **described}
    data = composed()["data"] | {"name": "toys", "root": str(root), "shapes": None, "saliency": "none"}
    params = parse_params(composed() | {"data": data | {"custom": custom}})
    preparation = Preparation.of(params.data, Layout(root))
    with pytest.raises(UserError) as refused:
        scan_splits(preparation, lambda items, **_: items, lambda _: None)
    return str(refused.value)


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({}, "void: 9 in place of 255 (if such pixels are not annotated), another first_value than 1, or more classes"),
        ({"void": None, "first_value": 0, "background": False}, "void: 9 (if such pixels"),
    ],
)
def test_a_value_in_every_image_speaks_against_the_description(
    tmp_path: Path, described: dict[str, Any], words: str
) -> None:
    message = refusal(tmp_path, {"a": [0, 1, 9], "b": [9, 1, 7]}, **described)
    assert (
        "Every image holds 9, so that its description is the likelier cause: conf/data/toys.yaml may need " in message
    )
    assert words in message
    assert "Otherwise: Mend the files, take the ids out" in message


def test_a_value_in_some_images_speaks_against_the_images(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"a": [0, 1, 9], "b": [2, 1, 0]})
    assert "its mask holds [9]" in message
    assert "description" not in message
