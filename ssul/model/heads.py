"""A head: the part of the network that scores the classes of one step."""

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """conv3x3 + BatchNorm + ReLU + conv1x1 (the published code; the paper's text says 1x1 alone)."""

    def __init__(self, channels: int, classes: int) -> None:
        """Builds (B, channels, h, w) -> (B, classes, h, w)."""
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.score = nn.Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (B, classes, h, w)."""
        return self.score(torch.relu(self.norm(self.conv(x))))  # type: ignore[no-any-return]

    @torch.no_grad()
    def inherit(self, parent: "Head") -> None:
        """Starts as a copy of a one-channel head, its score repeated for each class (SSUL's weight transfer).

        Convolution, norm (statistics included) and score are copied, not shared.
        """
        self.conv.load_state_dict(parent.conv.state_dict())
        self.norm.load_state_dict(parent.norm.state_dict())
        self.score.weight.copy_(parent.score.weight.expand_as(self.score.weight))
        assert self.score.bias is not None
        assert parent.score.bias is not None
        self.score.bias.copy_(parent.score.bias.expand_as(self.score.bias))
