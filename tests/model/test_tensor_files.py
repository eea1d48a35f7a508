"""Tensors on a disk, and what the disk says."""

import errno
import resource
import signal
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ssul.model.tensor_files import save_tensors
from ssul.pipeline.failures import explain


def test_tensors_are_written_however_they_are_laid_out(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 4)
    tensors = {"turned": weight[0, 0].T, "part": weight[:, 1], "learns": torch.nn.Parameter(torch.ones(2))}
    tensors["channels last"] = weight.contiguous(memory_format=torch.channels_last)
    save_tensors(tmp_path / "a", tensors)
    found = load_file(tmp_path / "a")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_the_bytes_depend_on_the_tensors_alone(tmp_path: Path) -> None:
    one, two = torch.ones(3), torch.zeros(2)
    save_tensors(tmp_path / "a", {"one": one, "two": two})
    save_tensors(tmp_path / "b", {"two": two, "one": one})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_notes_are_found_again(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a", {"one": torch.ones(3)}, notes="größer")
    with safe_open(tmp_path / "a", framework="pt") as content:
        assert content.metadata() == {"notes": "größer"}


def test_what_the_disk_refuses_is_the_disks_error_with_its_number_and_file(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="too large") as refusal:
            save_tensors(tmp_path / "a", {"one": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert refusal.value.errno == errno.EFBIG
    assert refusal.value.filename == str(tmp_path / "a")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_told_of(number: int) -> None:
    told = explain(OSError(number, "No space left on device", "weights.safetensors"))
    assert told is not None
    assert "the disk is full (weights.safetensors): make room" in told
