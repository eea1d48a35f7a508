"""Pretrained weights of a backbone: ImageNet, those shipped with the small backbone, or a file."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ssul.errors import UserError
from ssul.model.torch_files import TorchFileError, all_finite, download_imagenet, is_state_dict, read_tensors

NO_WEIGHTS = "none"
SMALL_BACKBONE = Path(__file__).with_name("small_backbone.safetensors")
"""The shipped weights of the small backbone, in half precision; docs/pretraining.md says how they were made."""
_NAMES = {"small": "pretrained"}  # of the published weights; torchvision's networks have `imagenet`


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
    published = _NAMES.get(name, "imagenet")
    if weights in ("imagenet", "pretrained") and weights != published:
        raise UserError(
            f"model.weights is '{weights}', but {name} has none of them: choose {published}, none, or a file"
        )
    if weights == published:
        state = _imagenet_weights(name) if published == "imagenet" else _read_weights(SMALL_BACKBONE)
    else:
        state = _read_weights(Path(weights))
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        source = "the small backbone" if name == "small" else f"torchvision.models.{name}"
        raise UserError(
            f"model.weights '{weights}' does not fit {name}: {detail[:300]}. It must be the state dict of {source}"
        ) from None


def _imagenet_weights(name: str) -> Mapping[str, Tensor]:
    try:
        return download_imagenet(name)
    except TorchFileError as error:
        raise UserError(
            f"model.weights is 'imagenet', but torchvision's weights of {name} are not available ({error}): try again, "
            "name a file with -S model.weights=FILE, or start from random weights with -S model.weights=none"
        ) from None


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise UserError(f"model.weights is '{path}', which is not a file: choose imagenet, none, or an existing file")
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
