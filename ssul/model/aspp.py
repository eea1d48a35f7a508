"""Atrous spatial pyramid pooling (DeepLabV3, arXiv 1706.05587, section 3.3)."""

import torch
from torch import Tensor, nn


def rates_for(stride: int) -> tuple[int, int, int]:
    """The dilation rates for features of a stride: the same distances in the image for each.

    The paper's are 6, 12 and 18 at stride 16, and twice that at stride 8.
    """
    return tuple(max(1, round(distance / stride)) for distance in (96, 192, 288))  # type: ignore[return-value]


class ASPP(nn.Module):
    """Five parallel views of the features (1x1, three dilated 3x3, image pooling), concatenated and projected.

    torchvision's own fixes its dropout at 0.5 inside; here dropout belongs to the caller, because a frozen ASPP is
    shared between a student that drops and a teacher that does not.
    """

    def __init__(self, channels: int, width: int, rates: tuple[int, int, int], *, separable: bool = False) -> None:
        """Builds (B, channels, h, w) -> (B, width, h, w)."""
        super().__init__()
        self.branches = nn.ModuleList(
            [
                _conv_norm_relu(channels, width, kernel=1),
                *(_conv_norm_relu(channels, width, kernel=3, dilation=rate, separable=separable) for rate in rates),
            ]
        )
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), _conv_norm_relu(channels, width, kernel=1))
        self.project = _conv_norm_relu(5 * width, width, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, width, h, w)."""
        views = [branch(x) for branch in self.branches]
        views.append(self.pooled(x).expand(-1, -1, *x.shape[-2:]))
        return self.project(torch.cat(views, dim=1))  # type: ignore[no-any-return]


def convolution(channels: int, out: int, *, kernel: int, dilation: int = 1, separable: bool = False) -> nn.Module:
    """A convolution without bias that keeps height and width.

    Args:
        channels, out: of its input and output.
        kernel: its odd side.
        dilation: of the kernel.
        separable: each channel by itself first, then 1x1 over the channels (DeepLabV3+, arXiv 1802.02611, section 3.2);
            a 1x1 convolution stays what it is.
    """
    padding = dilation * (kernel // 2)
    if kernel == 1 or not separable:
        return nn.Conv2d(channels, out, kernel, padding=padding, dilation=dilation, bias=False)
    depthwise = nn.Conv2d(channels, channels, kernel, padding=padding, dilation=dilation, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(channels, out, 1, bias=False))


def init_convolutions(module: nn.Module) -> None:
    """Draws the weights of all convolutions from He's normal distribution (arXiv 1502.01852, equation 10).

    The standard deviation is sqrt(2 / fan-in), as in SSUL's published code, for ASPP and heads, the 1x1 classifiers
    included. It is sqrt(6) times torch's default. Biases and norms keep torch's default.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)


def _conv_norm_relu(
    channels: int, out: int, *, kernel: int, dilation: int = 1, separable: bool = False
) -> nn.Sequential:
    conv = convolution(channels, out, kernel=kernel, dilation=dilation, separable=separable)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True))
