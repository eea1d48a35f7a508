"""Checkpoints: folders that describe themselves and hold no code.

    model.json            format, architecture, head sizes, the meaning of the channels, and a digest of each other part
    backbone.safetensors  backbone and ASPP, with V3+ the projection of early features, and what all heads share
    head_0.safetensors    one file for each head
    outputs.safetensors   what the method left beside the weights; optional
    training.json         how it was trained, for the reader; optional

The bytes of a part depend on its weights alone, so that a part that did not change keeps its hash and is stored once.

Loading trusts nothing. The network that `model.json` describes is first built without memory and compared with the
headers of the weights, so that no description makes this process ask for more memory than the files have bytes. The
digests reveal parts that were swapped or come from another checkpoint, because those may well have the right shapes.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ssul.errors import UserError
from ssul.io.atomic import replace_dir
from ssul.io.strict_json import check_consistent, parse_json, read_json
from ssul.model.deeplab import BODY, Architecture, IncrementalDeepLab
from ssul.model.timm_backbones import PREFIX, is_timm
from ssul.model.torch_files import all_finite

FORMAT = 2
"""Format 1 is read as well. It has other names for the backbone (and its file), V3+'s projection of early features, and
a head's last layer."""
_RENAMED_SINCE_1 = {"trunk": "backbone", "low": "low_level", "score": "classifier"}
_MAX_CHANNELS, _MAX_WIDTH = 255, 2**20
"""Heads and their channels: as many as a byte can distinguish. Width: so that no product of sizes overflows."""
_OUTPUTS = "outputs.safetensors"
_BACKBONE = rf"^(small|mobilenet_v2|resnet50|resnet101|{PREFIX}.+)$"
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
_DTYPES = {"F32": torch.float32, "I64": torch.int64}
"""The types of a network's tensors, by their names in safetensors."""


def save_checkpoint(
    folder: Path,
    model: IncrementalDeepLab,
    meaning: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a checkpoint folder, whole or not at all.

    Args:
        folder: its place; what is there is replaced.
        model: the network.
        meaning: JSON, the meaning of the channels, which this module does not interpret.
        training: JSON, how it was trained; None if that is not known.
        outputs: what the method left beside the weights, if anything.
    """
    description = {
        "format": FORMAT,
        "architecture": {name: value for name, value in asdict(model.architecture).items() if value is not None},
        "head_sizes": model.head_sizes,
        "meaning": meaning,
    }
    with replace_dir(folder) as temporary:
        for name, part in _parts(model).items():
            save_tensors(temporary / f"{name}.safetensors", part.state_dict())
        if outputs:
            save_tensors(temporary / _OUTPUTS, outputs)
        description["digests"] = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
        (temporary / "model.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        if training is not None:
            (temporary / "training.json").write_text(json.dumps(training) + "\n", encoding="utf-8")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], notes: str | None = None) -> None:
    """Writes tensors of any device and memory layout as a safetensors file.

    Args:
        path: the file.
        tensors: by name.
        notes: a text, `metadata()["notes"]` of `safe_open`; with None the bytes depend on the tensors alone.

    Raises:
        OSError: if the disk refuses them, with the error number; a part may have been written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path, metadata=None if notes is None else {"notes": notes})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), str(error), str(path)) from None


def read_training(folder: Path) -> dict[str, Any] | None:
    """How a checkpoint was trained, as given to `save_checkpoint`; None if that is not known.

    Raises:
        UserError: if it cannot be read.
    """
    path = folder / "training.json"
    if not path.exists():
        return None
    way_out = "delete it, which changes no result"
    training: dict[str, Any] = read_json(path, dict[str, Any], what="the training curve", way_out=way_out)
    return training


def read_outputs(folder: Path) -> dict[str, Tensor]:
    """What a step's method left beside its weights, as given to `save_checkpoint`.

    Raises:
        UserError: if it cannot be read.
    """
    return load_tensors(folder / _OUTPUTS) if (folder / _OUTPUTS).exists() else {}


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        UserError: if it is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read ({' '.join(str(error).split())}): run `dvc repro`") from None


def load_checkpoint(folder: Path) -> tuple[IncrementalDeepLab, dict[str, Any]]:
    """Opens a checkpoint folder: the network, on the CPU in evaluation mode, and the meaning of its channels.

    Raises:
        UserError: if it is missing, incomplete, or does not fit its own description.
    """
    path = folder / "model.json"
    if not path.exists():
        raise UserError(f"the checkpoint {folder} is missing: train the step before with `dvc repro`")
    described = _read_description(path)
    try:
        with torch.device("meta"):  # no memory, whatever the sizes
            model = IncrementalDeepLab(Architecture(**asdict(described.architecture)), described.head_sizes)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{path} does not describe a checkpoint ({type(error).__name__}: {error})") from None
    renamed = _RENAMED_SINCE_1 if described.format == 1 else {}
    before = {new: old for old, new in renamed.items()}
    places = {name: folder / f"{before.get(name, name)}.safetensors" for name in _parts(model)}
    for name, part in _parts(model).items():
        _check_tensors(places[name], part, described.digests, renamed)
    model = _with_memory(model)
    for name, part in _parts(model).items():
        _load_part(places[name], part, renamed)
    return model.eval(), described.meaning


def _with_memory(model: IncrementalDeepLab) -> IncrementalDeepLab:
    """The same network on the CPU, with any weights.

    One of timm is built anew, because it may hold tables that are no part of its state.
    """
    if not is_timm(model.architecture.backbone):
        return model.to_empty(device="cpu")
    with torch.random.fork_rng(devices=()):
        return IncrementalDeepLab(model.architecture, model.head_sizes)


@dataclass(frozen=True)
class _Architecture:
    """`Architecture` with the values that it may have."""

    backbone: Annotated[str, Field(pattern=_BACKBONE, max_length=200)]
    head: Literal["deeplabv3", "deeplabv3plus"]
    output_stride: Literal[8, 16]
    width: Annotated[int, Field(ge=1, le=_MAX_WIDTH)]
    classifier: Literal["conv3x3", "conv1x1", "shared_conv1x1"] = "conv3x3"
    separable: bool = False
    constant_head: Annotated[int, Field(ge=0, le=1)] | None = None
    log_odds_head: Literal[0] | None = None
    yielding: tuple[Annotated[int, Field(ge=1, le=2)], Annotated[int, Field(ge=2, le=_MAX_CHANNELS)]] | None = None
    variant: Literal["smp"] | None = None
    mean: tuple[_Finite, _Finite, _Finite] | None = None
    std: tuple[_Positive, _Positive, _Positive] | None = None


@dataclass(frozen=True)
class _Description:
    """model.json."""

    format: Literal[1, 2]
    architecture: _Architecture
    head_sizes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=_MAX_CHANNELS)], ...], Field(min_length=1, max_length=_MAX_CHANNELS)
    ]
    meaning: dict[str, Any]
    digests: dict[str, str]


def _read_description(path: Path) -> _Description:
    context = {"what": "the description of a checkpoint", "way_out": "bring the folder whole from where it was made"}
    content = read_json(path, dict[str, Any], **context)
    if "format" in content and (content["format"] not in (1, FORMAT) or content["format"] is True):
        raise UserError(
            f"the checkpoint {path.parent} has format {str(content['format'])[:40]}, this version reads 1 and {FORMAT}"
        )
    network = content.get("architecture")
    if content.get("format") == 1 and isinstance(network, dict):
        content["architecture"] = network = {_RENAMED_SINCE_1.get(key, key): value for key, value in network.items()}
    foreign = content.keys() - {one.name for one in fields(_Description)}
    foreign |= network.keys() - {one.name for one in fields(_Architecture)} if isinstance(network, dict) else set()
    check_consistent(path, {f"unknown: {', '.join(sorted(foreign))[:200]}": bool(foreign)}, **context)
    try:
        return parse_json(json.dumps(content).encode(), _Description)
    except ValueError as error:
        raise UserError(f"{context['what']} {path} is damaged ({error}): {context['way_out']}") from None


def _parts(model: IncrementalDeepLab) -> dict[str, nn.Module]:
    heads = {f"head_{index}": head for index, head in enumerate(model.heads)}
    body = {name: getattr(model, name) for name in BODY if hasattr(model, name)}
    return {"backbone": nn.ModuleDict(body), **heads}


def _check_tensors(path: Path, part: nn.Module, digests: Mapping[str, str], renamed: Mapping[str, str]) -> None:
    """Refuses a file whose tensors are not those of a part, before there is memory for them."""
    if not path.is_file():
        raise UserError(f"the checkpoint is incomplete: {path} is missing")
    expected = {key: (list(tensor.shape), tensor.dtype) for key, tensor in part.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {_current(key, renamed): file.get_slice(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            shapes = {key: (list(one.get_shape()), _DTYPES.get(one.get_dtype())) for key, one in found.items()}
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise _corrupt(path, str(error)) from None
    lost, foreign = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    other = sorted(key for key in expected.keys() & shapes.keys() if expected[key] != shapes[key])
    if lost or foreign or other:
        groups = [(lost, "missing"), (foreign, "left over"), (other, "of another shape or type")]
        words = [f"{len(keys)} tensors are {what} ({', '.join(keys[:3])[:200]}, ...)" for keys, what in groups if keys]
        raise _corrupt(path, "; ".join(words))
    if digests.get(path.name) != _digest(path):
        raise UserError(
            f"{path} is not the part that this checkpoint was saved with (its digest differs from the one in "
            "model.json): it was damaged, swapped or changed; copy the whole folder again from where it was made"
        )


def _current(key: str, renamed: Mapping[str, str]) -> str:
    """A tensor's present name: format 1 has other first words."""
    first, dot, rest = key.partition(".")
    return f"{renamed.get(first, first)}{dot}{rest}"


def _load_part(path: Path, part: nn.Module, renamed: Mapping[str, str]) -> None:
    try:
        state = {_current(key, renamed): tensor for key, tensor in load_file(path).items()}
        part.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise _corrupt(path, str(error)) from None
    if not all_finite(state):
        raise UserError(f"{path} holds weights that are NaN or infinite: its training diverged; use another checkpoint")


def _corrupt(path: Path, why: str) -> UserError:
    return UserError(f"{path} does not hold the weights that model.json promises: {' '.join(why.split())}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
