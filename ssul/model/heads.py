"""A head: the part of the network that scores one step's classes."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.model.aspp import convolution


class ConstantHead(nn.Module):
    """A background that does not learn: its logit is 0, so that a class wins where its sigmoid exceeds 0.5 (DKD)."""

    channels = 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> zeros (B, 1, h, w)."""
        return x.new_zeros(x.shape[0], 1, *x.shape[2:])


class LogOdds(nn.Module):
    """Turns the logits of a softmax into those of per-class sigmoids with the same probabilities.

    The log-odds of a class are its logit minus the log-sum-exp of all others.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """(B, K, h, w) -> (B, K, h, w), K >= 2."""
        top = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, logits.argmax(1, keepdim=True), True)
        of_others = logits.logsumexp(1, keepdim=True) + torch.log1p(-logits.softmax(1).masked_fill(top, 0))
        # of the greatest, whose probability may round to 1
        of_top = logits - logits.masked_fill(top, -torch.inf).logsumexp(1, keepdim=True)
        return torch.where(top, of_top, logits - of_others)


def give_way(logits: Tensor, yielding: tuple[int, int] | None) -> Tensor:
    """Reads unknown and background, which held what nobody had named yet, beside classes that were named later.

    The probability of each becomes that of its old meaning and of no later class: P(background) * prod(1 - P(class)).

    Args:
        logits: float (B, K, h, w) of sigmoids.
        yielding: (front, known): the first `front` channels give way to the channels from `known` on; None: none does.

    Returns:
        float (B, K, h, w): the logits; those of the front are others if there are later classes.
    """
    if yielding is None or yielding[1] >= logits.shape[1]:
        return logits
    front, known = yielding
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_p = functional.logsigmoid(precise[:, :front]) + functional.logsigmoid(-precise[:, known:]).sum(1, keepdim=True)
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).tiny)  # else a probability that rounds to 1 has no logit
    left = log_p - torch.log(-torch.expm1(log_p))
    return torch.cat([left.to(logits.dtype), logits[:, front:]], dim=1)


class Head(nn.Module):
    """conv3x3 + BatchNorm + ReLU + conv1x1 (the published code), or conv1x1 alone (the papers' text).

    Args:
        channels: of its input.
        classes: its number of channels.
        width: channels between its convolutions; None for conv1x1 alone.
        separable: whether the 3x3 convolution is depthwise separable.

    Attributes:
        output: what its logits pass through, most often nothing.
    """

    def __init__(self, channels: int, classes: int, *, width: int | None, separable: bool = False) -> None:
        super().__init__()
        if width is not None:
            self.conv = convolution(channels, width, kernel=3, separable=separable)
            self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Conv2d(channels if width is None else width, classes, 1)
        self.output: nn.Module = nn.Identity()
        self._hidden = width is not None

    @property
    def channels(self) -> int:
        """Its number of logits."""
        return self.classifier.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> logits (B, classes, h, w)."""
        return self.output(self.classifier(self.hidden(x)))  # type: ignore[no-any-return]

    def hidden(self, x: Tensor) -> Tensor:
        """What enters its 1x1 convolution: (B, channels, h, w) -> (B, width, h, w), at least 0 if x is."""
        return torch.relu(self.norm(self.conv(x))) if self._hidden else x

    @torch.no_grad()
    def copy_from(self, parent: "Head", channel: int = 0) -> None:
        """Starts as a copy of one channel of another head, its score repeated for each class (SSUL's weight transfer).

        Convolution, norm (statistics included) and score are copied, not shared.
        """
        if self._hidden:
            self.conv.load_state_dict(parent.conv.state_dict())
            self.norm.load_state_dict(parent.norm.state_dict())
        self.classifier.weight.copy_(parent.classifier.weight[channel].expand_as(self.classifier.weight))
        assert self.classifier.bias is not None
        assert parent.classifier.bias is not None
        self.classifier.bias.copy_(parent.classifier.bias[channel].expand_as(self.classifier.bias))

    @torch.no_grad()
    def split_probability_of(self, parent: "Head", channel: int) -> None:
        """Takes even shares of the probability of one channel of another head (MiB, section 3.3).

        The n new classes and that channel start with equal logits, and their probabilities add up to the channel's old
        probability: each bias is the old one minus log(n + 1).
        """
        self.copy_from(parent, channel)
        assert self.classifier.bias is not None
        assert parent.classifier.bias is not None
        shift = math.log(self.classifier.out_channels + 1)
        self.classifier.bias -= shift
        parent.classifier.bias[channel] -= shift
