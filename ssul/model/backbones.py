"""The backbones: fully convolutional feature extractors with a chosen output stride."""

from typing import NamedTuple

from torch import Tensor, nn
from torchvision import models

from ssul.model.timm_backbones import TimmBackbone, build_timm_backbone, is_timm
from ssul.model.weights import NO_WEIGHTS, load_weights

NORM_MOMENTUM = 0.01
"""BatchNorm momentum of the backbone (the published code's)."""
_BACKBONE_CHANNELS = {"small": 128, "mobilenet_v2": 320, "resnet50": 2048, "resnet101": 2048}
_LOW_LEVEL_CHANNELS = {"small": 48, "mobilenet_v2": 24, "resnet50": 256, "resnet101": 256}
_STAGE_ENDS = {"small": (2, 3, 4, 5), "mobilenet_v2": (3, 6, 13, 17)}
_RESNET_STAGE_ENDS = (4, 5, 6, 7)
"""Which children of a backbone end its four stages; the first of them gives the early features of V3+."""


class SmallBackbone(nn.Sequential):
    """A backbone for small drawn images: a stem and four residual stages, 128 channels."""

    def __init__(self, output_stride: int) -> None:
        """Builds it for output stride 8 or 16."""
        last = (2, 1) if output_stride == 16 else (1, 2)
        super().__init__(
            _conv_norm(3, 32, stride=2),
            nn.ReLU(inplace=True),
            _Residual(32, 48, stride=2),
            _Residual(48, 96, stride=2),
            _Residual(96, 128, stride=last[0], dilation=last[1]),
            _Residual(128, 128, dilation=2),
        )


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv_norm(channels, out, stride=stride, dilation=dilation),
            nn.ReLU(inplace=True),
            _conv_norm(out, out, dilation=dilation),
        )
        self.shortcut = (
            nn.Identity() if stride == 1 and channels == out else _conv_norm(channels, out, stride=stride, kernel=1)
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.body(x) + self.shortcut(x))  # type: ignore[no-any-return]


def _conv_norm(channels: int, out: int, *, stride: int = 1, dilation: int = 1, kernel: int = 3) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out))


class Outputs(NamedTuple):
    """The sizes of a backbone's outputs.

    Attributes:
        channels: of the features.
        stride: of the features, in pixels of the image.
        low_level_channels: of the early features (in networks with their own strides at a quarter of the resolution).
        low_level_stride: of the early features.
    """

    channels: int
    stride: int
    low_level_channels: int
    low_level_stride: int


def outputs_of(name: str, backbone: nn.Module, output_stride: int) -> Outputs:
    """The outputs of a backbone of `build_backbone`."""
    if isinstance(backbone, TimmBackbone):
        return Outputs(backbone.channels[-1], backbone.strides[-1], backbone.channels[0], backbone.strides[0])
    channels = backbone.channels if isinstance(backbone, SmpMobileNetV2) else _BACKBONE_CHANNELS[name]
    return Outputs(channels, output_stride, _LOW_LEVEL_CHANNELS[name], 4)


class Stages(NamedTuple):
    """The outputs of a backbone, stage by stage.

    Attributes:
        before_activation: the outputs of the four stages, before the ReLU that ends them where there is one; timm gives
            them after it.
        low_level: the first stage's output, for V3+.
        output: the backbone's output.
    """

    before_activation: list[Tensor]
    low_level: Tensor
    output: Tensor


def forward_stages(name: str, backbone: nn.Module, images: Tensor) -> Stages:
    """Runs a backbone of `build_backbone` and keeps the outputs of its stages.

    Args:
        name: of the backbone.
        backbone: the backbone.
        images: normalised, float (B, 3, H, W).
    """
    if isinstance(backbone, TimmBackbone):
        maps = backbone.stages(images)
        return Stages(maps, maps[0], maps[-1])
    ends = _STAGE_ENDS.get(name, _RESNET_STAGE_ENDS)
    before_activation: list[Tensor] = []
    outputs: list[Tensor] = []
    x = images
    for position, child in enumerate(backbone.children()):
        if position not in ends:
            x = child(x)
            continue
        entering: list[Tensor] = []
        relu = _last_relu(name, child)
        watch = relu and relu.register_forward_pre_hook(lambda _, inputs, kept=entering: kept.append(inputs[0]))
        x = child(x)
        if watch:
            watch.remove()
        before_activation.append(entering[-1] if entering else x)
        outputs.append(x)
    return Stages(before_activation, outputs[0], x)


def _last_relu(name: str, stage: nn.Module) -> nn.Module | None:
    """The activation that ends a stage: it must not work in place, because its input is kept."""
    if name == "mobilenet_v2":
        return None  # its blocks end linearly
    block = stage if name == "small" else list(stage.children())[-1]
    relu: nn.ReLU = block.relu  # type: ignore[assignment]  # a Bottleneck has one for all its places, used last at its end
    relu.inplace = False
    return relu


def build_backbone(name: str, output_stride: int, weights: str = NO_WEIGHTS) -> nn.Module:
    """Builds a backbone: images (B, 3, H, W) -> features (B, channels, H / stride, W / stride), see `outputs_of`.

    Args:
        name: small, mobilenet_v2, resnet50, resnet101 or timm:NAME.
        output_stride: 8 or 16; later stages dilate instead of striding further. Some of timm's networks cannot, and
            keep their own.
        weights: see `load_weights` and `build_timm_backbone`.

    Raises:
        UserError: if the weights cannot be read or downloaded, or do not fit.
    """
    if name == "small":
        backbone: nn.Module = SmallBackbone(output_stride)
        load_weights(backbone, name, weights)
    elif is_timm(name):
        backbone = build_timm_backbone(name, output_stride, weights)
    elif name == "mobilenet_v2":
        backbone = _mobilenet(output_stride, weights)
    else:
        backbone = _resnet(name, output_stride, weights)
    _set_momentum(backbone, NORM_MOMENTUM if name != "small" else 0.1)
    return backbone


def _set_momentum(backbone: nn.Module, momentum: float) -> None:
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum


def build_smp_backbone(name: str, output_stride: int) -> nn.Module:
    """Builds a backbone as segmentation_models.pytorch dilates it: resnet50, resnet101 or mobilenet_v2.

    In torchvision and in DeepLab's paper the first block of a dilated stage still has the dilation of the stage before.
    """
    if name == "mobilenet_v2":
        backbone: nn.Module = SmpMobileNetV2(output_stride)
        _set_momentum(backbone, NORM_MOMENTUM)
    else:
        backbone = build_backbone(name, output_stride)
        _dilate_first_blocks(backbone)
    return backbone


class SmpMobileNetV2(nn.Sequential):
    """MobileNetV2 of segmentation_models.pytorch, which keeps the last 1x1 convolution."""

    channels = 1280

    def __init__(self, output_stride: int) -> None:
        """Builds it for output stride 8 or 16."""
        super().__init__(*models.mobilenet_v2().features)
        dilations = {16: {14: 2}, 8: {7: 2, 14: 4}}[output_stride]
        dilation = 1
        for position, block in enumerate(self):
            dilation = dilations.get(position, dilation)
            for conv in block.modules():
                if isinstance(conv, nn.Conv2d) and dilation > 1:
                    padding = conv.kernel_size[0] // 2 * dilation
                    conv.stride, conv.dilation, conv.padding = (1, 1), (dilation, dilation), (padding, padding)


def _resnet(name: str, output_stride: int, weights: str) -> nn.Module:
    net = getattr(models, name)(replace_stride_with_dilation=[False, output_stride == 8, True])
    load_weights(net, name, weights)
    return nn.Sequential(*list(net.children())[:-2])  # without pooling and classifier


def _dilate_first_blocks(resnet: nn.Module) -> None:
    """Lets the first block of each stage of a ResNet dilate as the others do."""
    for stage in _RESNET_STAGE_ENDS:
        first, second = list(list(resnet.children())[stage].children())[:2]
        conv, like = first.conv2, second.conv2
        conv.dilation, conv.padding = like.dilation, like.padding  # type: ignore[union-attr]


def _mobilenet(output_stride: int, weights: str) -> nn.Module:
    net = models.mobilenet_v2()
    load_weights(net, "mobilenet_v2", weights)
    features: nn.Module = net.features[:-1]  # without the last 1x1 convolution to 1280 channels
    strides_off = {16: (14,), 8: (7, 14)}[output_stride]
    dilation = 1
    for position, block in enumerate(features.children()):
        for conv in block.modules():
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and position >= strides_off[0]:
                conv.dilation, conv.padding = (dilation, dilation), (dilation, dilation)
                if position in strides_off:
                    conv.stride = (1, 1)
        if position in strides_off:
            dilation *= 2
    return features
