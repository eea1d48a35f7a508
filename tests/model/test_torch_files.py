"""Weights in foreign files: plain tensors that the file has room for are read, all else is refused."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ssul.model.torch_files import TorchFileError, all_finite, is_state_dict, read_tensors
from tests.model.hostile import Touch

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
Save = Callable[[object, Path], object]


def legacy(content: object, path: Path) -> None:
    """Writes a file as PyTorch did before 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.pth"


@pytest.mark.parametrize("numpy_numbers", [False, True])
@pytest.mark.parametrize("save", [torch.save, legacy, lambda thing, path: path.write_bytes(pickle.dumps(thing, 2))])
def test_code_in_a_file_is_refused_and_does_not_run(path: Path, save: Save, numpy_numbers: bool) -> None:
    save([{"a": [Touch(path.parent / "the code ran")]}], path)
    with pytest.raises(TorchFileError):
        read_tensors(path, numpy_numbers=numpy_numbers)
    assert not (path.parent / "the code ran").exists()


@pytest.mark.parametrize("length", [0, 10, 1000, -100])
def test_a_truncated_file_is_refused(path: Path, length: int) -> None:
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TorchFileError):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"<html>404: not found</html>", b"\x80\x02garbage" * 20])
def test_a_file_of_another_kind_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(TorchFileError):
        read_tensors(path)


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_strange_tensors_are_refused_by_one_of_the_three_checks(content: dict[Any, Any], path: Path) -> None:
    torch.save(content, path)
    try:
        found = read_tensors(path)
    except TorchFileError:
        return
    assert not is_state_dict(found) or not all_finite(found)


def test_a_compressed_file_is_refused_unread(path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, path.with_name("plain.pth"))
    with (
        zipfile.ZipFile(path.with_name("plain.pth")) as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry))
    assert path.stat().st_size < 20_000
    with pytest.raises(TorchFileError, match="compressed"):
        read_tensors(path)


def test_an_old_file_that_claims_values_and_holds_none_is_refused(path: Path) -> None:
    """PyTorch makes room for them, and would hand out whatever the memory held."""
    legacy({"a": torch.zeros(1000)}, path)
    a_list = b"\x80\x02]"
    head, _, _ = path.read_bytes().rpartition(a_list)  # the list of the tensors whose values follow
    path.write_bytes(head + a_list + b".")
    assert torch.load(path, weights_only=True)["a"].shape == (1000,)
    with pytest.raises(TorchFileError, match="more values than the file holds"):
        read_tensors(path)


def test_a_list_that_holds_others_many_times_or_itself_is_walked_once(path: Path) -> None:
    many: list[Any] = [torch.ones(2)]
    for _ in range(40):
        many = [many] * 9  # 9 to the power of 40 ways to the tensor
    itself: list[Any] = [torch.ones(2)]
    itself.append(itself)
    for content in (many, itself):
        torch.save({"a": content}, path)
        assert read_tensors(path).keys() == {"a"}


def test_an_archive_that_only_pytorch_can_open_is_refused(path: Path) -> None:
    """Python's reader is the one that looks for compressed parts."""
    torch.save({"a": torch.zeros(9)}, path)
    path.write_bytes(path.read_bytes() + b"\0" * 70_000)  # more than a comment may have
    with pytest.raises(TorchFileError):
        read_tensors(path)


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(TorchFileError, match="not a regular file"):
        read_tensors(path)


@pytest.mark.parametrize("save", [torch.save, legacy])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_plain_tensors_are_read_as_they_are(path: Path, dtype: torch.dtype, save: Save) -> None:
    whole = torch.arange(12).reshape(3, 4).to(dtype)
    content = {"whole": whole, "part": whole[1:, ::2], "turned": whole.T, "none": whole[:0], "number": whole[0, 0]}
    save({"model_state": content, "epoch": 3}, path)
    found = read_tensors(path)
    assert found["epoch"] == 3
    assert found["model_state"].keys() == content.keys()
    assert all(torch.equal(found["model_state"][name], tensor) for name, tensor in content.items())


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numbers_of_numpy_are_read_where_they_are_allowed_under_both_names_of_its_module(
    path: Path, module: str
) -> None:
    names = (b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    before = set(torch.serialization.get_safe_globals())
    legacy({"a": torch.ones(2), "score": np.float64(0.25), "other": np.float32(0.5)}, path)
    written = path.read_bytes()
    assert sum(name in written for name in names) == 1
    for name in names:
        written = written.replace(name, f"c{module}\n".encode())
    path.write_bytes(written)
    found = read_tensors(path, numpy_numbers=True)
    assert (found["score"], found["other"]) == (0.25, 0.5)
    assert set(torch.serialization.get_safe_globals()) == before  # for this file alone
    with pytest.raises(TorchFileError):
        read_tensors(path)


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
def test_nan_infinity_and_unknown_kinds_of_tensors_are_not_finite(tensor: Tensor, finite: bool) -> None:
    assert all_finite({"a": torch.ones(1), "b": tensor}) is finite
