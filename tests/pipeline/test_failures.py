"""A fault of the machine is reported with the way out; a fault of the code keeps its traceback."""

import errno

import pytest
import torch
from torch import distributed

from ssul.pipeline.failures import explain


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "recipe.base.accumulate and recipe.increment.accumulate",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "recipe.crop"),
        (MemoryError(), "SSUL_WORKERS"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "(pid 7) is killed by signal"),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "SSUL_WORKERS lower"),
        (RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Read error"), "its reason is above"),
        (distributed.DistNetworkError("Connection refused"), "its reason is above"),
        (OSError(errno.ENOSPC, "No space left on device", "data/x"), "the disk is full (data/x): make room"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: make room"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "data/x"), "the disk is full (data/x): make room"),
        (OSError(errno.ENOSPC, "No space left on device", "/home/igloo/x"), "the disk is full (/home/igloo/x)"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (RuntimeError("Too many open files. Communication with the workers is no longer possible."), "ulimit -n"),
        (
            RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"),
            "recipe.base.accumulate and recipe.increment.accumulate",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "SSUL_WORKERS"),
    ],
)
def test_the_way_out_is_named_in_one_line(error: BaseException, words: str) -> None:
    message = explain(error)
    assert message is not None
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes differ"),
        OSError(errno.ENOENT, "gone"),
        RuntimeError("shapes differ in /home/igloo/x"),
        ValueError("2"),
        RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback: shapes differ"),
    ],
)
def test_other_errors_are_left_alone(error: BaseException) -> None:
    assert explain(error) is None
