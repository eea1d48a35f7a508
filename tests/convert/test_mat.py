"""Matrices in Matlab's files, written by scipy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from ssul.convert.mat import read_mats
from ssul.data.image_files import UnreadableImageError

VALUES = [[0, 1, 2], [255, 2, 0]]


def painted(root: Path, variables: dict[str, Any], variable: str | None = None, **options: Any) -> list[list[int]]:
    Image.new("RGB", (3, 2)).save(root / "a.jpg")
    scipy.io.savemat(root / "a.mat", variables, **options)
    (image,) = read_mats(root, root, ["hat", "ball"], variable=variable, ending=".mat").images
    assert (image.name, image.image) == ("a.jpg", root / "a.jpg")
    return image.paint(2, 3).tolist()


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float64])
@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}])
def test_a_matrix_of_any_kind_of_number_comes_back(tmp_path: Path, kind: type, options: dict[str, Any]) -> None:
    assert painted(tmp_path, {"mask": np.array(VALUES, dtype=kind), "note": "words"}, **options) == VALUES


def test_a_matrix_in_a_structure_is_named_with_its_fields(tmp_path: Path) -> None:
    inside = {"GTcls": {"Segmentation": np.array(VALUES, dtype=np.uint8), "Boundaries": [1.0]}}
    assert painted(tmp_path, inside, "GTcls.Segmentation") == VALUES
    with pytest.raises(UnreadableImageError, match=r"GTcls\.Mask is not in it: there is no Mask"):
        painted(tmp_path, inside, "GTcls.Mask")


@pytest.mark.parametrize(
    ("variables", "variable", "words"),
    [
        ({"a": VALUES, "b": VALUES}, None, r"which matrix is the mask\? It holds a \(3x2 int64\), b \(3x2 int64\)"),
        ({"a": VALUES}, "b", r"b is not in it\? It holds a \(3x2 int64\)"),
        ({"a": [[0, 1, 3], [4, 0, 0]]}, None, r"its matrix holds 3, 4, valid are 0\.\.2 and 255 \(void\)"),
        ({"a": [[0, 0.5, 1], [np.nan, 0, 0]]}, None, r"its matrix holds 0\.5, nan"),
        ({"a": [[0, 1], [1, 1]]}, None, "the image is 3x2 pixels, its matrix is 2x2"),
        ({"a": "text"}, None, "which matrix is the mask"),
        ({"a": np.array([[1, "x", 2]], dtype=object)}, "a", "a is not a matrix of numbers"),
    ],
)
def test_what_is_no_mask_is_named(tmp_path: Path, variables: dict[str, Any], variable: str | None, words: str) -> None:
    with pytest.raises(UnreadableImageError, match=words):
        painted(tmp_path, variables, variable)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "Matlab 7.3 .HDF5.: save it with"),
        (b"not a matrix", "unreadable matrix"),
        (b"", "unreadable matrix"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "a.jpg")
    (tmp_path / "a.mat").write_bytes(content)
    (image,) = read_mats(tmp_path, tmp_path, ["hat"], variable=None, ending=".mat").images
    with pytest.raises(UnreadableImageError, match=words):
        image.paint(2, 3)
