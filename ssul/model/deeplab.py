"""IncrementalDeepLab: DeepLabV3 or V3+ whose last layer is a growing list of heads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.model.aspp import RATES, Aspp
from ssul.model.backbones import build_trunk, low_level_channels, run_stages, trunk_channels
from ssul.model.dropout import SampleDropout
from ssul.model.heads import Head
from ssul.model.weights import NO_WEIGHTS

DROPOUT = 0.1
LOW_LEVEL_WIDTH = 48
"""Channels that V3+ reduces the early features to (DeepLabV3+, arXiv 1802.02611, section 4.1)."""


@dataclass(frozen=True)
class Architecture:
    """What must be known to build the network, apart from its heads.

    Attributes:
        trunk: small, mobilenet_v2, resnet50 or resnet101.
        head: deeplabv3 or deeplabv3plus.
        output_stride: 8 or 16.
        width: channels of the pyramid's output and inside each head (256 in the papers).
        classifier: of each head, conv3x3 or conv1x1, see `Head`.
        separable: whether the 3x3 convolutions of pyramid and heads are depthwise separable.
    """

    trunk: str
    head: str
    output_stride: int
    width: int
    classifier: str = "conv3x3"
    separable: bool = False

    @property
    def is_plus(self) -> bool:
        """Whether the heads see early features too (V3+)."""
        return self.head == "deeplabv3plus"


class Features(NamedTuple):
    """What the heads see, before dropout.

    Attributes:
        pyramid: float (B, width, h, w).
        low: float (B, 48, h', w'), early features at their finer resolution; None but with V3+.
    """

    pyramid: Tensor
    low: Tensor | None


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
        channels = trunk_channels(architecture.trunk)
        rates = RATES[architecture.output_stride]
        self.aspp = Aspp(channels, architecture.width, rates, separable=architecture.separable)
        if architecture.is_plus:
            self.low = nn.Sequential(
                nn.Conv2d(low_level_channels(architecture.trunk), LOW_LEVEL_WIDTH, 1, bias=False),
                nn.BatchNorm2d(LOW_LEVEL_WIDTH),
                nn.ReLU(inplace=True),
            )
        self.dropout = SampleDropout(DROPOUT)
        self.heads = nn.ModuleList(self._new_head(size) for size in head_sizes)
        self._resting: tuple[nn.Module, ...] = ()

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Channels of each head."""
        return tuple(head.score.out_channels for head in self.heads)  # type: ignore[union-attr, misc]

    def features(self, images: Tensor) -> Features:
        """What the heads see, before dropout, of normalised images (B, 3, H, W)."""
        if not self.architecture.is_plus:
            return Features(self.aspp(self.trunk(images)), None)
        stages = run_stages(self.architecture.trunk, self.trunk, images)
        return Features(self.aspp(stages.last), self.low(stages.low))

    def dropped(self, features: Features) -> Features:
        """The features with dropout, which acts on the pyramid alone; as they are in evaluation mode."""
        return Features(self.dropout(features.pyramid), features.low)

    def score(self, features: Features, heads: Collection[int] | None = None) -> Tensor:
        """Logits at the resolution of the features (B, K, h, w), of all heads or of the named ones, ascending."""
        seen = seen_by_heads(features)
        chosen = self.heads if heads is None else [self.heads[index] for index in sorted(heads)]
        return torch.cat([head(seen) for head in chosen], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits at image resolution: normalised images (B, 3, H, W) -> (B, K, H, W)."""
        return upsample(self.coarse(images), images)

    def coarse(self, images: Tensor) -> Tensor:
        """Logits at the resolution of the features: normalised images (B, 3, H, W) -> (B, K, h, w)."""
        return self.score(self.dropped(self.features(images)))

    def insides(self, images: Tensor) -> "Insides":
        """The logits and what lies on the way to them, for distillation."""
        stages = run_stages(self.architecture.trunk, self.trunk, images)
        low = self.low(stages.low) if self.architecture.is_plus else None
        features = Features(self.aspp(stages.last), low)
        return Insides([*stages.before_activation, features.pyramid], self.score(self.dropped(features)))

    def grow(self, classes: int) -> None:
        """Adds a head for a step's new classes; the logits of the others stay as they are, bit for bit."""
        reference = next(self.heads[0].parameters())
        self.heads.append(self._new_head(classes).to(device=reference.device, dtype=reference.dtype))

    def transfer(self, parent: int) -> None:
        """Lets the newest head start as a copy of another, one-channel head (SSUL, section 3.4)."""
        newest, source = self.heads[-1], self.heads[parent]
        assert isinstance(newest, Head)
        assert isinstance(source, Head)
        newest.inherit(source)

    def share(self, parent: int, channel: int) -> None:
        """Lets the newest head take even shares of the probability of another head's channel (MiB, section 3.3)."""
        newest, source = self.heads[-1], self.heads[parent]
        assert isinstance(newest, Head)
        assert isinstance(source, Head)
        newest.share(source, channel)

    def freeze_past(self, learning: Collection[int]) -> None:
        """Lets only the named heads learn; all else keeps its weights and statistics, whatever `train` is told."""
        frozen = [*self._body, *(head for index, head in enumerate(self.heads) if index not in learning)]
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
            lr: rate of pyramid, early features and heads.
            trunk_ratio: the trunk's rate is lr * trunk_ratio.
            slow_head: index of a head with a rate of its own (background, with freezing), or None.
            slow_ratio: that head's rate is lr * slow_ratio.

        Returns:
            Groups with `name`, `params` and `lr`; groups in which nothing learns are left out.
        """
        slow = [] if slow_head is None else list(self.heads[slow_head].parameters())
        quick = [
            *(p for part in self._body[1:] for p in part.parameters()),
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

    @property
    def _body(self) -> tuple[nn.Module, ...]:
        """All but the heads, the trunk first."""
        return (self.trunk, self.aspp, self.low) if self.architecture.is_plus else (self.trunk, self.aspp)

    def _new_head(self, classes: int) -> Head:
        made = self.architecture
        channels = made.width + (LOW_LEVEL_WIDTH if made.is_plus else 0)
        width = made.width if made.classifier == "conv3x3" else None
        return Head(channels, classes, width=width, separable=made.separable)

    def _rest(self, modules: Sequence[nn.Module]) -> None:
        self._resting = (*self._resting, *modules)  # a tuple, so that it registers nothing
        self.train(self.training)


class Insides(NamedTuple):
    """What a network makes of images, from the inside out.

    Attributes:
        layers: the outputs of the trunk's four stages before their activation, and the pyramid's.
        logits: float (B, K, h, w), at the resolution of the features.
    """

    layers: list[Tensor]
    logits: Tensor


def seen_by_heads(features: Features) -> Tensor:
    """One tensor of the features: with V3+ early ones first, the pyramid's brought to their resolution."""
    if features.low is None:
        return features.pyramid
    size = features.low.shape[-2:]
    pyramid = functional.interpolate(features.pyramid, size=size, mode="bilinear", align_corners=False)
    return torch.cat([features.low, pyramid], dim=1)


def upsample(logits: Tensor, images: Tensor) -> Tensor:
    """Bilinear logits at the resolution of the images, in single precision at least; corners not aligned."""
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))  # losses add up too much for bf16
    return functional.interpolate(precise, size=images.shape[-2:], mode="bilinear", align_corners=False)
