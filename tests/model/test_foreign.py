"""Weights in files of others: plain tensors that the file has room for, or a line that says why not."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssul.errors import UserError
from ssul.model.foreign import UnreadableError, all_finite, is_state_dict, read_tensors
from ssul.model.trunk import build_trunk
from ssul.published import read_published

STRANGE: dict[str, dict[Any, Any]] = {
    "a view that claims 80 GB": {"a": torch.zeros(1).expand(200_000, 100_000)},
    "no memory at all": {"a": torch.zeros(3, device="meta")},
    "a number for a name": {0: torch.zeros(2)},
    "complex numbers": {"a": torch.zeros(2, dtype=torch.complex64)},
    "eight bits": {"a": torch.zeros(2).to(torch.float8_e4m3fn)},
    "tensors in a tensor": {"a": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])},
    "sparse": {"a": torch.zeros(3, 3).to_sparse()},
    "quantised": {"a": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)},
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_strange_tensors_are_refused_in_one_line_by_every_reader(content: dict[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"weights\.pth") as refusal:
        build_trunk("mobilenet_v2", 16, str(path))
    assert "\n" not in str(refusal.value)
    torch.save({"model_state": content}, path)
    with pytest.raises(UserError, match=r"weights\.pth") as refusal:
        read_published(path)
    assert "\n" not in str(refusal.value)


def test_a_compressed_file_is_refused_unread(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry))
    assert (tmp_path / "bomb.pth").stat().st_size < 20_000
    with pytest.raises(UnreadableError, match="compressed"):
        read_tensors(tmp_path / "bomb.pth")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_plain_tensors_are_read_as_they_are(tmp_path: Path, dtype: torch.dtype, legacy: bool) -> None:
    whole = torch.arange(12).reshape(3, 4).to(dtype)
    content = {"whole": whole, "part": whole[1:, ::2], "turned": whole.T, "none": whole[:0], "number": whole[0, 0]}
    torch.save({"model_state": content, "epoch": 3}, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    found = read_tensors(tmp_path / "a.pth")
    assert found["epoch"] == 3
    assert found["model_state"].keys() == content.keys()
    assert all(torch.equal(found["model_state"][name], tensor) for name, tensor in content.items())


@pytest.mark.parametrize(
    ("content", "is_one"),
    [({}, True), ({"a": torch.ones(1)}, True), ({1: torch.ones(1)}, False), ({"a": 1}, False), ([], False), (3, False)],
)
def test_a_state_dict_is_tensors_by_name(content: object, is_one: bool) -> None:
    assert is_state_dict(content) is is_one


@pytest.mark.parametrize(
    ("tensor", "finite"),
    [
        (torch.ones(2), True),
        (torch.tensor([1.0, float("nan")]), False),
        (torch.tensor(float("-inf")), False),
        (torch.ones(2, dtype=torch.int64), True),
        (torch.zeros(2).to(torch.float8_e4m3fn), False),
        (torch.zeros(3, 3).to_sparse(), False),
    ],
)
def test_what_is_not_finite_or_cannot_be_told_is_not(tensor: Tensor, finite: bool) -> None:
    assert all_finite({"a": torch.ones(1), "b": tensor}) is finite
