"""Backbones of timm, `timm:NAME`: any of its networks that gives feature maps of images of any size.

timm is optional: it is imported where such a backbone is built, and nowhere else.
"""

import difflib
import functools
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.errors import UserError
from ssul.model.normalisation import Normalisation
from ssul.model.weights import IMAGENET, NO_WEIGHTS, misfit, read_weights, require_source

PREFIX = "timm:"
_NAME = re.compile(r"\w[\w.-]*")  # no address: timm would fetch `hf-hub:...`
_STAGES = 4
_TRIED = (97, 161)
"""Height and width of the image by which a network is tried: neither is a multiple of anything."""


class TimmBackbone(nn.Module):
    """The last four feature maps of a network of timm; of equal blocks, as in a plain transformer, four in even steps.

    Stochastic depth and dropout inside are off, because their draws would depend on the number of processes.

    Attributes:
        channels: of each map.
        strides: of each map.
    """

    def __init__(self, net: nn.Module, *, pads: bool) -> None:
        """Takes a network built with `features_only`.

        Args:
            net: the network.
            pads: whether images are padded on the right and below to a multiple of the greatest stride, because the
                network refuses other sizes.
        """
        super().__init__()
        self.net = net
        info: Any = net.feature_info
        self.channels, self.strides = tuple(info.channels()), tuple(info.reduction())
        self._pads = pads
        self._channels_last = str(getattr(net, "output_fmt", "")).endswith("NHWC")
        for module in net.modules():
            if hasattr(module, "drop_prob"):
                module.drop_prob = 0.0  # type: ignore[assignment]
            elif isinstance(module, nn.Dropout):
                module.p = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> the last map."""
        return self.stages(images)[-1]

    def stages(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) -> all maps, each (B, channels, about H / stride, about W / stride)."""
        height, width = images.shape[-2:]
        if self._pads:
            images = functional.pad(images, (0, -width % max(self.strides), 0, -height % max(self.strides)))
        maps: list[Tensor] = self.net(images)
        if self._channels_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        if self._pads:
            maps = [
                one[..., : -(-height // stride), : -(-width // stride)]
                for one, stride in zip(maps, self.strides, strict=True)
            ]
        return maps


def is_timm(name: str) -> bool:
    """Whether a backbone's name is `timm:NAME`."""
    return name.startswith(PREFIX)


def timm_normalisation(name: str) -> Normalisation:
    """What timm notes of a network's pretraining.

    Raises:
        UserError: if timm is missing or has no such network.
    """
    timm, model = _known(name)
    noted = timm.models.get_pretrained_cfg(model)
    return Normalisation() if noted is None else Normalisation(tuple(noted.mean), tuple(noted.std))


def build_timm_backbone(name: str, output_stride: int, weights: str = NO_WEIGHTS) -> TimmBackbone:
    """Builds a backbone.

    Args:
        name: `timm:NAME`, with or without the tag of its weights.
        output_stride: 8 or 16; a network that cannot dilate keeps its own.
        weights: `imagenet` (timm's, whatever they were pretrained on), `none`, or the file of a state dict, .pth or
            .safetensors: the network's, as timm publishes it, or the backbone's, as `ssul export-backbone` writes it.

    Raises:
        UserError: if timm or the network is missing, the network gives no maps, or takes images of certain sizes alone;
            or if the weights cannot be read or downloaded, or do not fit.
    """
    require_source(name, weights)
    timm, model = _known(name)
    plan = _plan(timm, model, output_stride)
    if weights == NO_WEIGHTS:
        return TimmBackbone(timm.create_model(model, **plan.settings), pads=plan.pads)
    if weights == IMAGENET:
        return TimmBackbone(_downloaded(timm, name, plan.settings), pads=plan.pads)
    state = read_weights(Path(weights))
    backbone = TimmBackbone(timm.create_model(model, **plan.settings), pads=plan.pads)
    try:
        if state.keys() == backbone.state_dict().keys():
            backbone.load_state_dict(state)
            return backbone
        if not state:  # timm would take none to mean its own
            raise ValueError("it is empty")
        _with_state(timm, model, state)  # the whole network, because a part of it would ignore what is left over
        return TimmBackbone(_with_state(timm, model, state, **plan.settings), pads=plan.pads)
    except (RuntimeError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise misfit(name, weights, f"timm.create_model('{model}')", error) from None


class _Plan(NamedTuple):
    """How a network is built.

    Attributes:
        settings: of `timm.create_model`.
        pads: see `TimmBackbone`.
    """

    settings: dict[str, Any]
    pads: bool


@functools.cache
def _plan(timm: ModuleType, model: str, output_stride: int) -> _Plan:
    """Finds out by a copy without memory how a network is built so that it takes images of any size.

    Raises:
        UserError: if it gives no maps, or takes images of certain sizes alone.
    """
    with torch.device("meta"):
        settings = _feature_settings(timm, model, output_stride)
        if settings is None:
            raise UserError(f"model.backbone is '{PREFIX}{model}', of which timm gives no feature maps (features_only)")
        net = timm.create_model(model, **settings)
        strides: list[int] = [one["reduction"] for one in net.feature_info.info]
        count = len(strides)
        alike = count > _STAGES and len(set(strides)) == 1
        indices = [count * (k + 1) // _STAGES - 1 for k in range(_STAGES)] if alike else range(count)[-_STAGES:]
        settings["out_indices"] = tuple(indices)
        net = timm.create_model(model, **settings).eval()
        for pads in (False, True):
            if _keeps_places(TimmBackbone(net, pads=pads)):
                return _Plan(settings, pads)
    raise UserError(
        f"model.backbone is '{PREFIX}{model}', which takes images of certain sizes alone: choose a network that takes "
        "images of any size"
    )


def _feature_settings(timm: ModuleType, model: str, output_stride: int) -> dict[str, Any] | None:
    """The settings with which a network gives feature maps; None if it gives none.

    Networks refuse settings that they do not have, each with an error of its own.
    """
    for more in (
        {"output_stride": output_stride},
        {"dynamic_img_size": True, "dynamic_img_pad": True},  # transformers with one embedding for each position
        {"strict_img_size": False},  # transformers with windows
        {},
    ):
        settings = {"features_only": True, **more}
        try:
            timm.create_model(model, **settings)
        except Exception:  # of any kind: the next setting is tried
            continue
        return settings
    return None


@torch.no_grad()
def _keeps_places(backbone: TimmBackbone) -> bool:
    """Whether the maps of an image of an odd size have the named channels, and cover it in steps of their strides."""
    try:
        maps = backbone.stages(torch.zeros(1, 3, *_TRIED))
    except Exception:  # each network refuses sizes with an error of its own
        return False
    return all(
        one.shape[1] == channels
        and all(abs(cells * stride - side) < 2 * stride for cells, side in zip(one.shape[2:], _TRIED, strict=True))
        for one, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True)
    )


def _known(name: str) -> tuple[ModuleType, str]:
    """timm, and the network's name in it.

    Raises:
        UserError: if timm is missing or has no such network or tag; it names near ones.
    """
    try:
        import timm
    except ImportError:
        raise UserError(
            f"model.backbone is '{name}', but timm is not installed: pip install \"ssul[backbones]\""
        ) from None
    logging.getLogger("timm").setLevel(logging.ERROR)  # it warns of each classifier that it leaves out
    model = name.removeprefix(PREFIX)
    try:
        if _NAME.fullmatch(model) and timm.is_model(model):
            timm.models.get_pretrained_cfg(model)
            return timm, model
    except RuntimeError:  # no such tag
        pass
    stem, dot, _ = model.partition(".")
    names = timm.list_pretrained(f"{stem}.*") if dot and timm.is_model(stem) else timm.list_models()
    near = ", ".join(
        f"{PREFIX}{one}{_lack(timm, one)}" for one in difflib.get_close_matches(model, names, n=3, cutoff=0.5)
    )
    raise UserError(
        f"model.backbone is '{name[:100]}', which timm {timm.__version__} does not have"
        + (f" (near: {near})" if near else "")
        + ": timm.list_models() lists its networks"
    )


def _lack(timm: ModuleType, model: str) -> str:
    with torch.device("meta"):
        return "" if _feature_settings(timm, model, 16) else " without feature maps"


def _downloaded(timm: ModuleType, name: str, settings: Mapping[str, Any]) -> nn.Module:
    try:
        net: nn.Module = timm.create_model(name.removeprefix(PREFIX), pretrained=True, **settings)
    except Exception as error:  # of the network, the hub, its cache, or because timm has none
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"model.weights is 'imagenet', but timm's weights of {name} are not available ({reason}): try again, name "
            "a file with -S model.weights=FILE, or start from random weights with -S model.weights=none"
        ) from None
    return net


def _with_state(timm: ModuleType, model: str, state: Mapping[str, Tensor], **settings: Any) -> nn.Module:
    """A network with weights that pass through timm's own conversion of older names."""
    given = {"state_dict": dict(state)}
    net: nn.Module = timm.create_model(model, pretrained=True, pretrained_cfg_overlay=given, **settings)
    return net
