"""Checkpoints: folders that describe themselves and hold no code.

    model.json           format, architecture, head sizes, and what the channels mean
    trunk.safetensors    trunk and pyramid, and with V3+ the projection of early features
    head_0.safetensors   one file a head
    training.json        how it was learned, for a person to look at; a checkpoint is one without it

The bytes of the weights depend on them alone, so that a part that did not change keeps its hash and is stored once.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ssul.atomic import replaced_folder
from ssul.errors import UserError
from ssul.model.deeplab import Architecture, IncrementalDeepLab

FORMAT = 1


def save_checkpoint(
    folder: Path, model: IncrementalDeepLab, meaning: Mapping[str, Any], training: Mapping[str, Any] | None = None
) -> None:
    """Writes a checkpoint folder, whole or not at all.

    Args:
        folder: its place; what is there is replaced.
        model: the network.
        meaning: JSON that says what the channels mean; this module does not look into it.
        training: JSON that says how it was learned, likewise; None if that is not known.
    """
    description = {
        "format": FORMAT,
        "architecture": asdict(model.architecture),
        "head_sizes": model.head_sizes,
        "meaning": meaning,
    }
    with replaced_folder(folder) as temporary:
        for name, part in _parts(model).items():
            state = {key: tensor.detach().cpu().contiguous() for key, tensor in part.state_dict().items()}
            save_file(state, temporary / f"{name}.safetensors")  # no metadata: its order is not deterministic
        (temporary / "model.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        if training is not None:
            (temporary / "training.json").write_text(json.dumps(training) + "\n", encoding="utf-8")


def read_training(folder: Path) -> dict[str, Any] | None:
    """How a checkpoint was learned, as `save_checkpoint` was told; None if it was not told.

    Raises:
        UserError: if it cannot be read.
    """
    path = folder / "training.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}: {error})") from None


def load_checkpoint(folder: Path) -> tuple[IncrementalDeepLab, dict[str, Any]]:
    """Opens a checkpoint folder: the network, on the CPU in evaluation mode, and what its channels mean.

    Raises:
        UserError: if it is missing, incomplete, or does not fit what it says of itself.
    """
    path = folder / "model.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise UserError(f"the checkpoint {folder} has format {description['format']}, this version reads {FORMAT}")
        model = IncrementalDeepLab(Architecture(**description["architecture"]), description["head_sizes"])
        meaning = description["meaning"]
    except FileNotFoundError:
        raise UserError(f"the checkpoint {folder} is missing: train the step before with `dvc repro`") from None
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{path} does not describe a checkpoint ({type(error).__name__}: {error})") from None
    for name, part in _parts(model).items():
        _load_part(folder / f"{name}.safetensors", part)
    return model.eval(), meaning


def _parts(model: IncrementalDeepLab) -> dict[str, nn.Module]:
    heads = {f"head_{index}": head for index, head in enumerate(model.heads)}
    body = {"trunk": model.trunk, "aspp": model.aspp} | ({"low": model.low} if model.architecture.is_plus else {})
    return {"trunk": nn.ModuleDict(body), **heads}


def _load_part(path: Path, part: nn.Module) -> None:
    try:
        part.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise UserError(f"the checkpoint is incomplete: {path} is missing") from None
    except (SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{path} does not hold the weights that model.json promises: {' '.join(str(error).split())}"
        ) from None
