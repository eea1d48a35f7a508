"""IncrementalDeepLab: DeepLabV3 whose last layer is a growing list of heads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.model.aspp import RATES, Aspp
from ssul.model.heads import Head
from ssul.model.trunk import NO_WEIGHTS, build_trunk, trunk_channels

DROPOUT = 0.1


@dataclass(frozen=True)
class Architecture:
    """What must be known to build the network, apart from its heads.

    Attributes:
        trunk: small, mobilenet_v2, resnet50 or resnet101.
        head: deeplabv3.
        output_stride: 8 or 16.
        width: channels of the pyramid's output and inside each head (256 in the papers).
    """

    trunk: str
    head: str
    output_stride: int
    width: int


class IncrementalDeepLab(nn.Module):
    """Trunk, pyramid and heads; it owns growing, weight transfer and freezing.

    The logits are the heads' channels one behind the other, in the order in which the heads were added, so that
    growing never moves a channel.
    """

    def __init__(self, architecture: Architecture, head_sizes: Sequence[int], weights: str = NO_WEIGHTS) -> None:
        """Builds the network.

        Args:
            architecture: see `Architecture`.
            head_sizes: channels of each head.
            weights: of the trunk, see `build_trunk`.
        """
        super().__init__()
        self.architecture = architecture
        self.trunk = build_trunk(architecture.trunk, architecture.output_stride, weights)
        rates = RATES[architecture.output_stride]
        self.aspp = Aspp(trunk_channels(architecture.trunk), architecture.width, rates)
        self.dropout = nn.Dropout(DROPOUT)
        self.heads = nn.ModuleList(Head(architecture.width, size) for size in head_sizes)
        self._resting: tuple[nn.Module, ...] = ()

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Channels of each head."""
        return tuple(head.score.out_channels for head in self.heads)  # type: ignore[union-attr, misc]

    def features(self, images: Tensor) -> Tensor:
        """What the heads see, before dropout: normalised images (B, 3, H, W) -> (B, width, h, w)."""
        return self.aspp(self.trunk(images))  # type: ignore[no-any-return]

    def score(self, features: Tensor, heads: Collection[int] | None = None) -> Tensor:
        """Logits at feature resolution (B, K, h, w), of all heads or of the named ones, in ascending order."""
        chosen = self.heads if heads is None else [self.heads[index] for index in sorted(heads)]
        return torch.cat([head(features) for head in chosen], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits at image resolution: normalised images (B, 3, H, W) -> (B, K, H, W)."""
        return upsample(self.score(self.dropout(self.features(images))), images)

    def grow(self, classes: int) -> None:
        """Adds a head for a step's new classes; the logits of the others stay as they are, bit for bit."""
        reference = next(self.heads[0].parameters())
        head = Head(self.architecture.width, classes)
        self.heads.append(head.to(device=reference.device, dtype=reference.dtype))

    def transfer(self, parent: int) -> None:
        """Lets the newest head start as a copy of another, one-channel head (SSUL, section 3.4)."""
        newest, source = self.heads[-1], self.heads[parent]
        assert isinstance(newest, Head)
        assert isinstance(source, Head)
        newest.inherit(source)

    def freeze_past(self, learning: Collection[int]) -> None:
        """Lets only the named heads learn; all else keeps its weights and statistics, whatever `train` is told."""
        frozen = [self.trunk, self.aspp, *(head for index, head in enumerate(self.heads) if index not in learning)]
        for module in frozen:
            module.requires_grad_(False)
        self._rest(frozen)

    def freeze_norms(self) -> None:
        """Stops every BatchNorm: statistics and affine parameters, whatever `train` is told."""
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.requires_grad_(False)
        self._rest(norms)

    def train(self, mode: bool = True) -> "IncrementalDeepLab":
        """Switches between training and evaluation; frozen parts stay in evaluation."""
        super().train(mode)
        for module in self._resting:
            module.eval()
        return self

    def trainable_groups(
        self, lr: float, *, trunk_ratio: float, slow_head: int | None, slow_ratio: float
    ) -> list[dict[str, Any]]:
        """The parameters that learn, as optimiser groups with their rates.

        Args:
            lr: rate of pyramid and heads.
            trunk_ratio: the trunk's rate is lr * trunk_ratio.
            slow_head: index of a head with a rate of its own (background, with freezing), or None.
            slow_ratio: that head's rate is lr * slow_ratio.

        Returns:
            Groups with `name`, `params` and `lr`; groups in which nothing learns are left out.
        """
        slow = [] if slow_head is None else list(self.heads[slow_head].parameters())
        quick = [
            *self.aspp.parameters(),
            *(p for index, head in enumerate(self.heads) if index != slow_head for p in head.parameters()),
        ]
        groups = [
            {"name": "trunk", "params": list(self.trunk.parameters()), "lr": lr * trunk_ratio},
            {"name": "heads", "params": quick, "lr": lr},
            {"name": "background", "params": slow, "lr": lr * slow_ratio},
        ]
        for group in groups:
            group["params"] = [p for p in group["params"] if p.requires_grad]  # type: ignore[attr-defined]
        return [group for group in groups if group["params"]]

    def _rest(self, modules: Sequence[nn.Module]) -> None:
        self._resting = (*self._resting, *modules)  # a tuple, so that it registers nothing
        self.train(self.training)


def upsample(logits: Tensor, images: Tensor) -> Tensor:
    """Bilinear logits at the resolution of the images, in single precision at least; corners not aligned."""
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))  # losses add up too much for bf16
    return functional.interpolate(precise, size=images.shape[-2:], mode="bilinear", align_corners=False)
