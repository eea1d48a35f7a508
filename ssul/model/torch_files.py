"""Weights in foreign files: tensors and plain numbers are read, and no code in the files is run.

The one module that calls `torch.load`, whose format is a pickle. `weights_only=True` lets it build nothing but tensors,
containers, numbers, and the globals that are allowed.
"""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor
from torchvision import models

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_ARCHIVE = b"PK\x03\x04"
"""The first bytes of the files that PyTorch reads as archives."""
_DTYPES = (*_FLOATS, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)


class TorchFileError(Exception):
    """A file is cut off, is not PyTorch's, or holds code, which is not run; or a download failed."""


def read_tensors(path: Path, *, numpy_numbers: bool = False) -> Any:
    """The content of a file of `torch.save`, on the CPU.

    Args:
        path: the file.
        numpy_numbers: whether it may hold single NumPy numbers, as the best scores in published files are.

    Every tensor is plain. All tensors together take no more bytes than the file has, because a tensor may claim any
    size.

    Raises:
        TorchFileError: with the name of the reader's error, or the reason of the refusal.
    """
    if path.exists() and not path.is_file():  # a pipe would block without end
        raise TorchFileError("it is not a regular file")
    try:
        with path.open("rb") as file:
            is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
        if is_archive and _is_compressed(path):
            raise TorchFileError("it is compressed and may expand to any size")
        with torch.serialization.safe_globals(_numpy_scalars() if numpy_numbers else []):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except TorchFileError:
        raise
    except Exception as error:  # a broken or foreign file makes these readers raise anything
        raise TorchFileError(type(error).__name__) from None
    tensors = list(_tensors_in(content))
    # the old format trusts any size that a tensor claims, even without values
    if not all(map(_is_plain, tensors)) or _memory_of(tensors) > path.stat().st_size:
        raise TorchFileError("it holds a tensor of an unknown kind, or one that claims more values than the file holds")
    return content


def is_state_dict(content: object) -> bool:
    """Whether something is a dictionary of tensors by name."""
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )


def download_imagenet(name: str) -> Mapping[str, Tensor]:
    """Torchvision's weights of a backbone, from its cache or the network; the file must have the hash in its name.

    Raises:
        TorchFileError: if there is no network, or the hash differs.
    """
    try:
        weights = models.get_model_weights(name)["IMAGENET1K_V1"]  # the papers'; DEFAULT may move
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:
        raise TorchFileError(str(error) or type(error).__name__) from None
    return state


def all_finite(state: Mapping[str, Tensor]) -> bool:
    """Whether all are plain tensors without NaN and infinity; with these a network silently predicts nonsense."""
    return all(_is_plain(tensor) and bool(tensor.isfinite().all()) for tensor in state.values())


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is dense, of a known type, and backed by memory for all its values."""
    known = tensor.layout is torch.strided and tensor.dtype in _DTYPES and tensor.device.type != "meta"
    # a nested tensor is strided too, but has no sizes
    return known and not tensor.is_nested and tensor.nbytes <= tensor.untyped_storage().nbytes()


def _memory_of(tensors: Iterable[Tensor]) -> int:
    """The bytes of all tensors; some may share memory."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _tensors_in(content: object) -> Iterator[Tensor]:
    """Yields each tensor once, because a list may hold another many times, or itself."""
    seen, left = set(), [content]
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Tensor):
            yield part
        left += part.values() if isinstance(part, Mapping) else part if isinstance(part, list | tuple) else ()


def _is_compressed(path: Path) -> bool:
    """Whether PyTorch's archive has compressed parts, which PyTorch never writes."""
    with zipfile.ZipFile(path) as archive:
        return any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())


def _numpy_scalars() -> list[Any]:
    """The globals in a pickled NumPy number, whose module has had two names."""
    dtypes = [type(np.dtype(number)) for number in (np.float64, np.float32)]
    scalar = multiarray.scalar
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *dtypes]
