"""Foreign checkpoints: read as tensors alone, and each tensor put in exactly one place of our network."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssul.errors import UserError
from ssul.model.deeplab import IncrementalDeepLab
from ssul.model.torch_files import TorchFileError, all_finite, is_state_dict, read_tensors

_MAX_NAMED = 6
_RESNET_CHILDREN = {
    name: str(position)
    for position, name in enumerate(("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"))
}
_LAYER3_BLOCKS = {6: "resnet50", 23: "resnet101"}
"""The number of blocks in the third layer, and the ResNet that has it."""


def read_state(path: Path, *, within: Sequence[str], prefix: str, source: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint. No code in the file is run: only tensors and plain numbers are read.

    Args:
        path: of the file, .safetensors, or anything else for PyTorch's format.
        within: where the state dict may lie in the file's content, by its key; "" for the content itself.
        prefix: of names, which wrappers add; it is removed.
        source: what such files are from, for messages.

    Raises:
        UserError: if it is missing, holds anything else, or lacks a state dict.
    """
    if not path.is_file():
        raise UserError(f"the checkpoint {path} is not a file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else read_tensors(path, numpy_numbers=True)
    except (TorchFileError, SafetensorError, OSError) as error:
        reason = error if isinstance(error, TorchFileError) else type(error).__name__
        raise UserError(
            f"the checkpoint {path} cannot be read as tensors alone ({reason}): it is cut off, or holds code, which is "
            "not run"
        ) from None
    inside = content if isinstance(content, Mapping) else {}
    places = [inside.get(key) if key else inside for key in within]
    states = [one for one in places if isinstance(one, Mapping) and one and is_state_dict(one)]
    if not states:
        named = " or ".join(key or "state dict" for key in within)
        raise UserError(f"the checkpoint {path} holds no {named}: it is not from {source}")
    found: dict[str, Tensor] = {}
    for name, tensor in states[0].items():
        bare = name.removeprefix(prefix)
        if bare in found:
            raise UserError(
                f"the checkpoint {path} is not {source}'s: {bare} is there twice, with {prefix} and without"
            )
        found[bare] = tensor
    if not all_finite(found):
        raise UserError(f"the checkpoint {path} holds weights that are NaN or infinite: its training went wrong")
    return found


def load_renamed(
    model: IncrementalDeepLab, state: Mapping[str, Tensor], our_name: Callable[[str], str | None]
) -> IncrementalDeepLab:
    """Loads a network's tensors under our names, and returns it in evaluation mode.

    Args:
        model: our network; it is changed.
        state: the tensors by their foreign names.
        our_name: our name of a foreign one; None where we have no such tensor.

    Raises:
        UserError: if a tensor is missing, left over, or has another shape.
    """
    ours = model.state_dict()
    renamed: dict[str, Tensor] = {}
    left = []
    for name, tensor in state.items():
        place = our_name(name)
        if place in ours and place not in renamed:
            renamed[place] = tensor
        else:
            left.append(name)
    missing = sorted(ours.keys() - renamed.keys())
    if missing or left:
        raise UserError(
            f"the checkpoint does not fit: {len(missing)} tensors are missing{_some(missing)}, {len(left)} are left "
            f"over{_some(sorted(left))}"
        )
    wrong = [
        f"{name} {list(renamed[name].shape)}, not {list(ours[name].shape)}"
        for name in ours
        if renamed[name].shape != ours[name].shape
    ]
    if wrong:
        raise UserError(f"{len(wrong)} tensors of the checkpoint have another shape{_some(wrong)}")
    model.load_state_dict(renamed)
    return model.eval()


def resnet_in(state: Mapping[str, Tensor], prefix: str) -> str:
    """The ResNet whose layers, in torchvision's names, lie behind a prefix.

    Raises:
        UserError: if it is neither ResNet-50 nor ResNet-101.
    """
    layer = f"{prefix}.layer3."
    blocks = {name.removeprefix(layer).partition(".")[0] for name in state if name.startswith(layer)}
    if len(blocks) not in _LAYER3_BLOCKS:
        raise UserError(
            f"the checkpoint's backbone is not a ResNet-50 or ResNet-101: its layer3 has {len(blocks)} blocks"
        )
    return _LAYER3_BLOCKS[len(blocks)]


def backbone_name(parts: Sequence[str]) -> str | None:
    """Our name of a tensor of torchvision's ResNet, by the parts of its name."""
    child, *rest = parts
    return ".".join(["backbone", _RESNET_CHILDREN[child], *rest]) if child in _RESNET_CHILDREN else None


def aspp_name(parts: Sequence[str]) -> str | None:
    """Our name of a tensor of torchvision's ASPP (whose names the other sources took over), likewise."""
    match list(parts):
        case ["convs", "4", place, *rest] if place in ("1", "2"):
            return ".".join(["aspp", "pooled", "1", str(int(place) - 1), *rest])
        case ["convs", branch, *rest]:
            return ".".join(["aspp", "branches", branch, *rest])
        case ["project", *rest]:
            return ".".join(["aspp", "project", *rest])
    return None


def _some(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > _MAX_NAMED else ""
    return f" ({', '.join(names[:_MAX_NAMED])}{more})"
