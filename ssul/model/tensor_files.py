"""Writing safetensors files, so that a full disk is an OSError."""

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(path: Path, tensors: Mapping[str, Tensor], notes: str | None = None) -> None:
    """Writes tensors, wherever they are and however they are laid out.

    Args:
        path: the file.
        tensors: by name.
        notes: a text that `safe_open` finds as `metadata()["notes"]`; with none the bytes depend on the tensors alone.

    Raises:
        OSError: if the disk does not take them, with its number; a part may have been written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path, metadata=None if notes is None else {"notes": notes})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), str(error), str(path)) from None
