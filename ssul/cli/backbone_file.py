"""Writes the backbone of a checkpoint as a file that `model.weights` can name."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ssul.inference.trained_model import TrainedModel
from ssul.io.atomic import replace_file, write_json


def write_backbone(checkpoint: Path, out: Path, made: Mapping[str, Any]) -> Path:
    """Writes the weights in half precision, and a JSON file beside them.

    Args:
        checkpoint: a folder.
        out: the file of the weights, .safetensors.
        made: how they were made; the JSON file holds it with the SHA-256 of the weights.

    Returns:
        The path of the JSON file.

    Raises:
        UserError: if the checkpoint cannot be read.
    """
    trained = TrainedModel.load(checkpoint)
    state = {name: _half(tensor) for name, tensor in trained.model.backbone.state_dict().items()}
    with replace_file(out) as temporary:
        save_file(state, temporary)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    description = out.with_suffix(".json")
    write_json(description, {"sha256": digest, **made})
    return description


def _half(tensor: Tensor) -> Tensor:
    return (tensor.to(torch.float16) if tensor.is_floating_point() else tensor).contiguous()
