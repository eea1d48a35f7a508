"""Weights in files of others: tensors and plain numbers are read from them, and no code in them is run.

The one module that calls `torch.load`, whose format is a pickle. `weights_only=True` lets it build nothing but tensors,
containers and numbers, and what it is told to allow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor
from torchvision import models


class UnreadableError(Exception):
    """A file is cut off, is none of PyTorch's, or holds code, which is not run; or it cannot be downloaded."""


def read_tensors(path: Path, *, numpy_numbers: bool = False) -> Any:
    """What a file of `torch.save` holds, on the CPU.

    Args:
        path: the file.
        numpy_numbers: whether single numbers of NumPy may be in it: the best scores in published files are such.

    Raises:
        UnreadableError: with the name of the reader's error.
    """
    try:
        with torch.serialization.safe_globals(_numpy_scalars() if numpy_numbers else []):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or foreign file makes the restricted unpickler raise
        raise UnreadableError(type(error).__name__) from None


def download_imagenet(name: str) -> Mapping[str, Tensor]:
    """Torchvision's weights of a trunk, which it keeps; the file must have the hash that its name tells.

    Raises:
        UnreadableError: if there is no network, or something else comes.
    """
    try:
        weights = models.get_model_weights(name)["IMAGENET1K_V1"]  # the papers'; DEFAULT may move
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:
        raise UnreadableError(str(error) or type(error).__name__) from None
    return state


def all_finite(state: Mapping[str, Tensor]) -> bool:
    """Whether all are plain tensors without NaN and infinity: with one a network predicts nonsense, silently."""
    plain = all(tensor.layout is torch.strided and not tensor.is_quantized for tensor in state.values())
    return plain and all(bool(tensor.isfinite().all()) for tensor in state.values())


def _numpy_scalars() -> list[Any]:
    """What a NumPy number is made of, whose module has had two names."""
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32)]
    scalar = multiarray.scalar
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *kinds]
