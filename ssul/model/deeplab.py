"""IncrementalDeepLab: DeepLabV3 or V3+ whose last layer is a growing list of heads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.errors import UserError
from ssul.model.aspp import ASPP, convolution, init_convolutions, rates_for
from ssul.model.backbones import build_backbone, build_smp_backbone, forward_stages, outputs_of
from ssul.model.dropout import SampleDropout
from ssul.model.heads import ConstantHead, Head, LogOdds, give_way
from ssul.model.normalisation import Channels, Normalisation
from ssul.model.timm_backbones import is_timm, timm_normalisation
from ssul.model.weights import NO_WEIGHTS

BODY = ("backbone", "aspp", "low_level", "shared")
"""The parts that are no heads, of which V3 lacks the third, and networks whose heads share nothing the fourth."""
DROPOUT = 0.1
SMP_RATES = (12, 24, 36)
LOW_LEVEL_WIDTH = 48
"""Channels that V3+ reduces the early features to (DeepLabV3+, arXiv 1802.02611, section 4.1)."""


@dataclass(frozen=True)
class Architecture:
    """The parameters of the network, apart from its heads.

    Attributes:
        backbone: small, mobilenet_v2, resnet50, resnet101 or timm:NAME.
        head: deeplabv3 or deeplabv3plus.
        output_stride: 8 or 16, unless the backbone cannot dilate and keeps its own.
        width: channels of the ASPP's output and inside each head (256 in the papers).
        classifier: of each head, conv3x3 or conv1x1, see `Head`; or shared_conv1x1, a conv1x1 for each head behind one
            conv3x3 + BatchNorm + ReLU that all heads share (DKD and STAR).
        separable: whether the 3x3 convolutions of ASPP and heads are depthwise separable.
        constant_head: index of the head whose only logit is 0, see `ConstantHead`; or None.
        log_odds_head: index of the head that learned with a softmax and is read as sigmoids, see `LogOdds`; or None.
        yielding: which channels give way to classes that were learned later, see `give_way`: unknown and background,
            where they did not learn on. None where they did, and for log_odds_head, whose background always does.
        variant: smp for a network of segmentation_models.pytorch, which differs: the first block of a dilated stage
            dilates as well; the rates of the ASPP are 12, 24 and 36 at any stride; with V3+ a separable 3x3 convolution
            + BatchNorm + ReLU follows the ASPP; corners are aligned wherever it upsamples. Else None.
        mean, std: of the normalisation. None is ImageNet's; with a backbone of timm, what timm notes of it. So a
            checkpoint holds the numbers, and does not depend on what a later timm notes.
    """

    backbone: str
    head: str
    output_stride: int
    width: int
    classifier: str = "conv3x3"
    separable: bool = False
    constant_head: int | None = None
    log_odds_head: int | None = None
    yielding: tuple[int, int] | None = None
    variant: str | None = None
    mean: Channels | None = None
    std: Channels | None = None

    def __post_init__(self) -> None:
        if is_timm(self.backbone) and (self.mean is None or self.std is None):
            own = timm_normalisation(self.backbone)
            object.__setattr__(self, "mean", own.mean if self.mean is None else self.mean)
            object.__setattr__(self, "std", own.std if self.std is None else self.std)

    @property
    def normalisation(self) -> Normalisation:
        """The normalisation of the network's input."""
        usual = Normalisation()
        return Normalisation(self.mean or usual.mean, self.std or usual.std)

    @property
    def has_shared_convolution(self) -> bool:
        """Whether all heads share their 3x3 convolution."""
        return self.classifier == "shared_conv1x1"

    @property
    def is_smp(self) -> bool:
        """Whether it is a network of segmentation_models.pytorch, see `variant`."""
        return self.variant == "smp"

    @property
    def is_plus(self) -> bool:
        """Whether early features are part of the heads' input (V3+)."""
        return self.head == "deeplabv3plus"


class Features(NamedTuple):
    """The input of the heads, before dropout.

    Attributes:
        aspp: float (B, width, h, w).
        low_level: float (B, 48, h', w'), early features at their finer resolution; None without V3+.
    """

    aspp: Tensor
    low_level: Tensor | None


class Intermediates(NamedTuple):
    """The outputs of a network between its images and its logits.

    Attributes:
        layers: the outputs of the backbone's four stages before their activation, and the ASPP's.
        logits: float (B, K, h, w), at the resolution of the features.
    """

    layers: list[Tensor]
    logits: Tensor


class IncrementalDeepLab(nn.Module):
    """Backbone, ASPP and heads; it owns growing, weight transfer and freezing.

    The logits are the channels of all heads, concatenated in the order in which the heads were added. So growing never
    moves a channel.

    Attributes:
        stride: of the backbone's features; another than the architecture's where the backbone cannot dilate.
    """

    def __init__(self, architecture: Architecture, head_sizes: Sequence[int], weights: str = NO_WEIGHTS) -> None:
        """Builds the network.

        Args:
            architecture: see `Architecture`.
            head_sizes: channels of each head.
            weights: of the backbone, see `build_backbone`.
        """
        super().__init__()
        self.architecture = architecture
        name, stride = architecture.backbone, architecture.output_stride
        self.backbone = (
            build_smp_backbone(name, stride) if architecture.is_smp else build_backbone(name, stride, weights)
        )
        outputs = outputs_of(name, self.backbone, stride)
        self.stride = outputs.stride
        rates = SMP_RATES if architecture.is_smp else rates_for(outputs.stride)
        self.aspp: nn.Module = ASPP(outputs.channels, architecture.width, rates, separable=architecture.separable)
        if architecture.is_smp and architecture.is_plus:
            width = architecture.width
            refining = convolution(width, width, kernel=3, separable=True)
            self.aspp = nn.Sequential(self.aspp, refining, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        if architecture.is_plus:
            if outputs.low_level_stride >= outputs.stride:
                raise UserError(
                    f"model.head is deeplabv3plus, but all features of {architecture.backbone} have the stride "
                    f"{outputs.stride}, none is finer: choose deeplabv3"
                )
            self.low_level = nn.Sequential(
                nn.Conv2d(outputs.low_level_channels, LOW_LEVEL_WIDTH, 1, bias=False),
                nn.BatchNorm2d(LOW_LEVEL_WIDTH),
                nn.ReLU(inplace=True),
            )
            init_convolutions(self.low_level)
        init_convolutions(self.aspp)
        if architecture.has_shared_convolution:
            self.shared = nn.Sequential(
                convolution(self._features_width, architecture.width, kernel=3, separable=architecture.separable),
                nn.BatchNorm2d(architecture.width),
                nn.ReLU(inplace=True),
            )
            init_convolutions(self.shared)
        self.dropout = SampleDropout(DROPOUT)
        self.heads = nn.ModuleList(
            ConstantHead() if index == architecture.constant_head else self._new_head(size)
            for index, size in enumerate(head_sizes)
        )
        self._frozen_modules: tuple[nn.Module, ...] = ()
        if architecture.log_odds_head is not None:
            self.read_as_log_odds(architecture.log_odds_head)

    @property
    def normalisation(self) -> Normalisation:
        """What turns uint8 images into the input of this network."""
        return self.architecture.normalisation

    @property
    def align_corners(self) -> bool:
        """Whether upsampling puts the outer features on the outer pixels; else each on the middle of its cell."""
        return self.architecture.is_smp

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Channels of each head."""
        return tuple(head.channels for head in self.heads)  # type: ignore[misc]

    @property
    def yielding(self) -> tuple[int, int] | None:
        """Which channels give way to which, see `give_way`."""
        index = self.architecture.log_odds_head
        return self.architecture.yielding if index is None else (1, self.head_sizes[index])

    def features(self, images: Tensor) -> Features:
        """The input of the heads, before dropout: normalised images (B, 3, H, W) -> `Features`."""
        if not self.architecture.is_plus:
            return Features(self.aspp(self.backbone(images)), None)
        stages = forward_stages(self.architecture.backbone, self.backbone, images)
        return Features(self.aspp(stages.output), self.low_level(stages.low_level))

    def apply_dropout(self, features: Features) -> Features:
        """The features with dropout, which acts on the ASPP's output alone; unchanged in evaluation mode."""
        return Features(self.dropout(features.aspp), features.low_level)

    def classify(self, features: Features, heads: Collection[int] | None = None) -> Tensor:
        """Logits at the resolution of the features (B, K, h, w), of all heads or of the named ones, ascending."""
        return self.classify_input(self.head_input(features), heads)

    def classify_input(self, x: Tensor, heads: Collection[int] | None = None) -> Tensor:
        """The same of `head_input`: (B, C, h, w) -> (B, K, h, w)."""
        if heads is not None:
            return torch.cat([self.heads[index](x) for index in sorted(heads)], dim=1)
        return give_way(torch.cat([head(x) for head in self.heads], dim=1), self.yielding)

    def head_input(self, features: Features) -> Tensor:
        """What enters every head: float (B, C, h, w), at least 0."""
        x = join(features, align_corners=self.align_corners)
        return self.shared(x) if self.architecture.has_shared_convolution else x

    def forward(self, images: Tensor) -> Tensor:
        """Logits at image resolution: normalised images (B, 3, H, W) -> (B, K, H, W)."""
        return self.upsample(self.forward_low_res(images), images)

    def upsample(self, logits: Tensor, images: Tensor) -> Tensor:
        """Logits (B, k, h, w) at the resolution of the images, or of a target, see the function `upsample`."""
        return upsample(logits, images, align_corners=self.align_corners)

    def forward_low_res(self, images: Tensor) -> Tensor:
        """Logits at the resolution of the features: normalised images (B, 3, H, W) -> (B, K, h, w)."""
        return self.classify(self.apply_dropout(self.features(images)))

    def forward_intermediates(self, images: Tensor) -> Intermediates:
        """The logits and the outputs before them, for distillation, of normalised images (B, 3, H, W)."""
        stages = forward_stages(self.architecture.backbone, self.backbone, images)
        low_level = self.low_level(stages.low_level) if self.architecture.is_plus else None
        features = Features(self.aspp(stages.output), low_level)
        return Intermediates([*stages.before_activation, features.aspp], self.classify(self.apply_dropout(features)))

    def grow(self, classes: int) -> None:
        """Adds a head for a step's new classes; the logits of the others stay as they are, bit for bit."""
        reference = next(self.backbone.parameters())
        self.heads.append(self._new_head(classes).to(device=reference.device, dtype=reference.dtype))

    def read_as_log_odds(self, index: int) -> None:
        """Lets a head that learned with a softmax give the logits of sigmoids with the same probabilities."""
        self._head(index).output = LogOdds()
        self.architecture = replace(self.architecture, log_odds_head=index)

    def let_give_way(self, front: int, known: int) -> None:
        """Lets the first `front` channels give way to those from `known` on; if they do already, they go on so."""
        if self.yielding is None:
            self.architecture = replace(self.architecture, yielding=(front, known))

    def init_head_from_unknown(self, parent: int) -> None:
        """Lets the newest head start as a copy of another, one-channel head (SSUL, section 3.4)."""
        self._head(-1).copy_from(self._head(parent))

    def init_head_from_background(self, parent: int, channel: int) -> None:
        """Lets the newest head take even shares of the probability of another head's channel (MiB, section 3.3)."""
        self._head(-1).split_probability_of(self._head(parent), channel)

    def freeze_past(self, learning: Collection[int]) -> None:
        """Lets only the named heads learn; all else keeps its weights and statistics, in training mode too."""
        self._freeze([*self._body, *(head for index, head in enumerate(self.heads) if index not in learning)])

    def freeze_earlier_heads(self) -> None:
        """Keeps the weights and statistics of every head but the newest; all else learns."""
        self._freeze(list(self.heads)[:-1])

    def freeze_norms(self) -> None:
        """Stops every norm: affine parameters and, of BatchNorm, statistics, in training mode too.

        Norms without statistics (LayerNorm, GroupNorm, RMSNorm in networks of timm) still normalise each image by
        itself; their weights and biases stay as they are.
        """
        self._freeze([module for module in self.modules() if _is_norm(module)])

    def train(self, mode: bool = True) -> "IncrementalDeepLab":
        """Switches between training and evaluation; frozen parts stay in evaluation."""
        super().train(mode)
        for module in self._frozen_modules:
            module.eval()
        return self

    def parameter_groups(
        self, lr: float, *, backbone_ratio: float, low_lr_head: int | None, low_lr_ratio: float
    ) -> list[dict[str, Any]]:
        """The parameters that learn, as optimiser groups with their rates.

        Args:
            lr: rate of ASPP, early features and heads.
            backbone_ratio: the backbone's rate is lr * backbone_ratio.
            low_lr_head: index of a head with a rate of its own (background, with freezing), or None.
            low_lr_ratio: that head's rate is lr * low_lr_ratio.

        Returns:
            Groups with `name`, `params` and `lr`; groups without learning parameters are left out.
        """
        low_lr = [] if low_lr_head is None else list(self.heads[low_lr_head].parameters())
        main = [
            *(p for part in self._body[1:] for p in part.parameters()),
            *(p for index, head in enumerate(self.heads) if index != low_lr_head for p in head.parameters()),
        ]
        groups = [
            {"name": "backbone", "params": list(self.backbone.parameters()), "lr": lr * backbone_ratio},
            {"name": "heads", "params": main, "lr": lr},
            {"name": "background", "params": low_lr, "lr": lr * low_lr_ratio},
        ]
        return _learning(groups)

    def parameter_groups_beside_newest(
        self, lr: float, *, backbone_ratio: float, newest_ratio: float = 1.0, other_decay: float | None = None
    ) -> list[dict[str, Any]]:
        """The parameters that learn, with a group of its own for the newest head (DKD, STAR).

        Args:
            lr: rate of ASPP, early features, what heads share, and earlier heads.
            backbone_ratio: the backbone's rate is lr * backbone_ratio.
            newest_ratio: the newest head's rate is lr * newest_ratio.
            other_decay: weight decay of all but the newest head; None for that of the recipe.

        Returns:
            As `parameter_groups`.
        """
        earlier = [*self._body[1:], *list(self.heads)[:-1]]
        groups = [
            {"name": "backbone", "params": list(self.backbone.parameters()), "lr": lr * backbone_ratio},
            {"name": "heads", "params": [p for part in earlier for p in part.parameters()], "lr": lr},
            {"name": "newest", "params": list(self.heads[-1].parameters()), "lr": lr * newest_ratio},
        ]
        if other_decay is not None:
            for group in groups[:-1]:
                group["weight_decay"] = other_decay
        return _learning(groups)

    @property
    def _body(self) -> tuple[nn.Module, ...]:
        """All parts except the heads, the backbone first."""
        return tuple(part for name in BODY if (part := getattr(self, name, None)) is not None)

    @property
    def _features_width(self) -> int:
        """Channels of the joined features."""
        return self.architecture.width + (LOW_LEVEL_WIDTH if self.architecture.is_plus else 0)

    def _head(self, index: int) -> Head:
        head = self.heads[index]
        assert isinstance(head, Head)
        return head

    def _new_head(self, classes: int) -> Head:
        network = self.architecture
        channels = network.width if network.has_shared_convolution else self._features_width
        width = network.width if network.classifier == "conv3x3" else None
        head = Head(channels, classes, width=width, separable=network.separable)
        init_convolutions(head)
        return head

    def _freeze(self, modules: Sequence[nn.Module]) -> None:
        for module in modules:
            module.requires_grad_(False)
        self._frozen_modules = (*self._frozen_modules, *modules)  # a tuple, so that it registers nothing
        self.train(self.training)


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm; timm's own kinds are known by their names alone."""
    known = (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
    return isinstance(module, known) or ("Norm" in type(module).__name__ and not list(module.children()))


def _learning(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups without what does not learn."""
    for group in groups:
        group["params"] = [p for p in group["params"] if p.requires_grad]
    return [group for group in groups if group["params"]]


def join(features: Features, *, align_corners: bool = False) -> Tensor:
    """The features as one tensor: with V3+ the early ones, then the ASPP's output at their resolution."""
    if features.low_level is None:
        return features.aspp
    size = features.low_level.shape[-2:]
    aspp = functional.interpolate(features.aspp, size=size, mode="bilinear", align_corners=align_corners)
    return torch.cat([features.low_level, aspp], dim=1)


def upsample(logits: Tensor, images: Tensor, *, align_corners: bool = False) -> Tensor:
    """Bilinear logits at the resolution of the images, in single precision at least."""
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))  # losses sum too many values for bf16
    return functional.interpolate(precise, size=images.shape[-2:], mode="bilinear", align_corners=align_corners)
