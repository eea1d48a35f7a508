"""Pretrained weights of a backbone: ImageNet, those shipped with the small backbone, or a file."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ssul.errors import UserError
from ssul.model.torch_files import TorchFileError, all_finite, download_imagenet, is_state_dict, read_tensors

IMAGENET, PRETRAINED, NO_WEIGHTS = "imagenet", "pretrained", "none"
SMALL_BACKBONE = Path(__file__).with_name("small_backbone.safetensors")
"""The shipped weights of the small backbone, in half precision; docs/pretraining.md says how they were made."""


def load_weights(net: nn.Module, name: str, weights: str) -> None:
    """Loads pretrained weights into a network.

    Args:
        net: a network of torchvision, or the small backbone; it is changed.
        name: of the network.
        weights: `imagenet` (torchvision's networks), `pretrained` (the small backbone), `none`, or the path of the
            network's state dict (.pth or .safetensors).

    Raises:
        UserError: if the weights cannot be read or downloaded, or do not fit.
    """
    if weights == NO_WEIGHTS:
        return
    require_source(name, weights)
    state = _imagenet_weights(name) if weights == IMAGENET else read_weights(_file_of(weights))
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        source = "the small backbone" if name == "small" else f"torchvision.models.{name}"
        raise misfit(name, weights, source, error) from None


def require_source(name: str, weights: str) -> None:
    """Refuses weights that a backbone does not have.

    Raises:
        UserError: with those that it has.
    """
    own, other = (PRETRAINED, IMAGENET) if name == "small" else (IMAGENET, PRETRAINED)
    if weights == other or not (weights in (own, NO_WEIGHTS) or Path(weights).is_file()):
        raise UserError(
            f"model.weights is '{weights}', which {name} does not have: choose {own}, {NO_WEIGHTS}, or an existing file"
        )


def misfit(name: str, weights: str, source: str, error: Exception) -> UserError:
    """The refusal of weights that are not those of a backbone.

    Args:
        name: of the backbone.
        weights: the file.
        source: the network whose state dict it must be.
        error: what torch says.
    """
    detail = " ".join(str(error).split())
    return UserError(
        f"model.weights '{weights}' does not fit {name}: {detail[:300]}. It must be the state dict of {source}"
    )


def _imagenet_weights(name: str) -> Mapping[str, Tensor]:
    try:
        return download_imagenet(name)
    except TorchFileError as error:
        raise UserError(
            f"model.weights is 'imagenet', but torchvision's weights of {name} are not available ({error}): try again, "
            "name a file with -S model.weights=FILE, or start from random weights with -S model.weights=none"
        ) from None


def _file_of(weights: str) -> Path:
    return SMALL_BACKBONE if weights == PRETRAINED else Path(weights)


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file, .safetensors or .pth.

    Raises:
        UserError: if it cannot be read, or holds something else or weights that are not finite.
    """
    try:
        state = load_file(path) if path.suffix == ".safetensors" else read_tensors(path)
    except (TorchFileError, SafetensorError, OSError) as error:
        reason = error if isinstance(error, TorchFileError) else type(error).__name__
        raise UserError(f"model.weights '{path}' is not a readable state dict ({reason})") from None
    if not is_state_dict(state):
        raise UserError(f"model.weights '{path}' holds a {type(state).__name__}, not a state dict")
    if not all_finite(state):
        raise UserError(f"model.weights '{path}' holds weights that are NaN or infinite: name another file")
    return state
