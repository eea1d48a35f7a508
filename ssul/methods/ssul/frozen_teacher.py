"""A network that does not learn, rewritten to compute the same at less cost: norms folded, heads fused."""

import copy
from collections.abc import Iterable, Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ssul.model.deeplab import Features, IncrementalDeepLab
from ssul.model.heads import Head, give_way
from ssul.model.timm_backbones import TimmBackbone


class FrozenTeacher:
    """A copy of a network in evaluation mode, in the memory layout in which convolutions are faster.

    Its norms are folded into their convolutions, and the 3x3 convolutions of all heads, which have the same input, are
    one wider convolution. Its outputs are equal up to rounding. It is not an `nn.Module`, so that the objective that
    holds it neither trains nor saves it.
    """

    def __init__(self, model: IncrementalDeepLab) -> None:
        """Copies the network, which may learn afterwards."""
        frozen = copy.deepcopy(model).requires_grad_(False).eval()
        fold_norms(frozen)
        self._yielding = model.yielding
        self._heads = FusedHeads([head for head in frozen.heads if isinstance(head, Head)])  # SSUL's background learns
        frozen.heads = nn.ModuleList()
        self._body = frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._heads = self._heads.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def to(self, device: torch.device) -> "FrozenTeacher":
        """Moves the teacher to a device."""
        self._body.to(device)
        self._heads.to(device)
        return self

    @torch.no_grad()
    def features(self, images: Tensor) -> Features:
        """The input of the heads, before dropout: normalised images (B, 3, H, W) -> `Features`."""
        features: Features = self._body.features(images)
        return features

    @torch.no_grad()
    def classify(self, features: Features) -> Tensor:
        """Logits of all heads at the resolution of the features (B, K, h, w)."""
        return give_way(self._heads(self._body.head_input(features)), self._yielding)


class FusedHeads(nn.Module):
    """Heads whose 3x3 convolutions run as one; separable heads and 1x1 heads run one after the other."""

    def __init__(self, heads: Sequence[Head]) -> None:
        super().__init__()
        convolutions = [getattr(head, "conv", None) for head in heads]
        self.wide = _fuse_convs(convolutions) if _are_plain(convolutions) else None
        scores = [nn.Sequential(head.classifier, head.output) for head in heads]
        self.parts = nn.ModuleList(heads if self.wide is None else scores)

    def forward(self, x: Tensor) -> Tensor:
        """The input of the heads (B, C, h, w) -> logits of all heads (B, K, h, w)."""
        if self.wide is None:
            return torch.cat([head(x) for head in self.parts], dim=1)
        hidden = torch.relu(self.wide(x)).chunk(len(self.parts), dim=1)
        return torch.cat([classifier(part) for classifier, part in zip(self.parts, hidden, strict=True)], dim=1)


def fold_norms(module: nn.Module) -> None:
    """Folds every BatchNorm that is defined right after a convolution into it, in place.

    In all networks of the project, torchvision's too, it is also applied right after it. Networks of timm stay as they
    are, because their norms may hold an activation, or be applied elsewhere. Folded norms keep their statistics and no
    longer adapt.
    """
    foreign = {part for one in module.modules() if isinstance(one, TimmBackbone) for part in one.modules()}
    for parent in module.modules():
        if parent in foreign:
            continue
        name_before, before = "", nn.Module()
        for name, child in list(parent.named_children()):
            if isinstance(before, nn.Conv2d) and isinstance(child, nn.BatchNorm2d):
                folded = fuse_conv_bn_eval(before.eval(), child.eval())
                setattr(parent, name_before, folded.requires_grad_(False))
                setattr(parent, name, nn.Identity())
            name_before, before = name, child


def _are_plain(convolutions: Sequence[nn.Module | None]) -> TypeGuard[list[nn.Conv2d]]:
    return all(isinstance(one, nn.Conv2d) for one in convolutions)


def _fuse_convs(convolutions: Sequence[nn.Conv2d]) -> nn.Conv2d:
    wide = copy.deepcopy(convolutions[0])
    wide.out_channels = sum(one.out_channels for one in convolutions)
    wide.weight = _joined(one.weight for one in convolutions)
    wide.bias = _joined(one.bias for one in convolutions if one.bias is not None)
    return wide


def _joined(tensors: Iterable[Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.cat(list(tensors)), requires_grad=False)
