"""The label algebra: the only module that knows unknown, background, void and channel numbers.

Words: a *dataset id* is a value in a mask file (0 background, 1.. classes). A *channel* is a position in the
network's logits and in a training target. With the unknown head the channels are
`[unknown][background][base C0][new C1]...[new Ct]`, without it `[background][base C0][new C1]...`.
(SSUL, section 3.2; the published code's order of channels.)
"""

import itertools
import math
import reprlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ssul.errors import UserError
from ssul.labels.ids import BACKGROUND_ID, VOID

Future = Literal["ignore", "background"]
"""What validation pixels of classes that are not learned yet count as."""
Activation = Literal["sigmoid", "softmax"]
"""How logits become scores: per-class sigmoids (BCE, the paper's choice) or one softmax (CE)."""
_ROUNDING = 1e-3  # by how much less than that an interpolated logit may exceed those that it lies between


@dataclass(frozen=True)
class LabelSpace:
    """The meaning of a network's channels after some step.

    Attributes:
        groups: the dataset ids that each step learned, in learning order: (base C0, C1, ..., Ct).
        unknown: whether channel 0 is the unknown class (SSUL) or there is none (softmax methods, ablation).
        activation: how logits are turned into scores.
    """

    groups: tuple[tuple[int, ...], ...]
    unknown: bool
    activation: Activation

    @property
    def classes(self) -> tuple[int, ...]:
        """All learned dataset ids in learning order, background left out."""
        return tuple(class_id for group in self.groups for class_id in group)

    @property
    def background_channel(self) -> int:
        """1 behind the unknown channel, else 0."""
        return int(self.unknown)

    @property
    def first_class_channel(self) -> int:
        """The channel of the first base class."""
        return self.background_channel + 1

    @property
    def num_channels(self) -> int:
        """Number of channels of the logits."""
        return self.first_class_channel + len(self.classes)

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Channels of each head: [1, 1, C0, C1, ...] with the unknown head, [1 + C0, C1, ...] without it."""
        base, *later = (len(group) for group in self.groups)
        first = (1, 1, base) if self.unknown else (1 + base,)
        return (*first, *later)

    @property
    def unknown_head(self) -> int:
        """Index of the unknown head.

        Raises:
            ValueError: if there is none.
        """
        if not self.unknown:
            raise ValueError("this label space has no unknown head")
        return 0

    @property
    def background_head(self) -> int:
        """Index of the head that scores the background (and, without the unknown head, the base classes)."""
        return self.background_channel

    def channels_of_heads(self, heads: Collection[int]) -> list[int]:
        """The channels of some heads, ascending."""
        starts = [0, *itertools.accumulate(self.head_sizes)]
        return [channel for head in sorted(heads) for channel in range(starts[head], starts[head + 1])]

    def with_step(self, new: Sequence[int]) -> "LabelSpace":
        """The label space after one more step."""
        return LabelSpace((*self.groups, tuple(new)), self.unknown, self.activation)

    def describe(self) -> dict[str, Any]:
        """The label space as JSON, for a checkpoint; `from_dict` reads it."""
        return {
            "groups": [list(group) for group in self.groups],
            "unknown": self.unknown,
            "activation": self.activation,
        }

    @classmethod
    def from_dict(cls, description: Any) -> "LabelSpace":
        """Reads what `describe` made.

        Raises:
            UserError: if it describes no label space.
        """
        try:
            groups = tuple(tuple(group) for group in description["groups"])
            unknown, activation = description["unknown"], description["activation"]
        except (KeyError, TypeError, ValueError):
            raise UserError(f"a checkpoint's label space is not readable: {reprlib.repr(description)}") from None
        ids = [class_id for group in groups for class_id in group]
        valid = all(type(class_id) is int and BACKGROUND_ID < class_id < VOID for class_id in ids)  # True is no id
        valid = valid and all(groups) and 0 < len(ids) == len(set(ids))
        if not valid or not isinstance(unknown, bool) or activation not in get_args(Activation):
            raise UserError(f"a checkpoint's label space is not valid: {reprlib.repr(description)}")
        return cls(groups, unknown, activation)

    def channel_of(self, class_id: int) -> int:
        """The channel of a learned class.

        Raises:
            KeyError: if the class is not learned.
        """
        try:
            return self.first_class_channel + self.classes.index(class_id)
        except ValueError:
            raise KeyError(class_id) from None

    def encode(self, mask: Tensor, saliency: Tensor | None, annotated: Collection[int]) -> Tensor:
        """Turns a mask into a training target, new images and memory images alike.

        (The published code shifts only the new ones by the unknown channel, so that its memory trains wrong heads.)

        Args:
            mask: uint8 (H, W), dataset ids, VOID where void.
            saliency: uint8 (H, W), positive where a salient object is; None for datasets without saliency, whose
                whole background becomes unknown (SSUL, section 3.2). Not looked at without an unknown channel.
            annotated: the dataset ids that are annotated in this image; every other class is background.

        Returns:
            uint8 (H, W): channels, VOID where void.
        """
        table = torch.full((256,), self.background_channel, dtype=torch.uint8)
        table[VOID] = VOID
        for class_id in annotated:
            table[class_id] = self.channel_of(class_id)
        target = _looked_up(table, mask)
        if self.unknown:
            # For bytes torch compares with a tensor, and multiplies, many times as quickly as it compares with a
            # number and fills by a mask.
            background = target == torch.full_like(target, self.background_channel)
            target *= ~(background if saliency is None else background & saliency.bool())  # to channel 0
        return target

    def encode_without_unknown_shift(self, mask: Tensor, annotated: Collection[int]) -> Tensor:
        """A memory image's target as the published code makes it: without the shift by the unknown channel.

        So each label trains the channel before its own, and the background trains the unknown one; saliency is not
        looked at. A fault, kept to measure what it costs. Arguments as of `encode`.
        """
        table = torch.full((256,), 0, dtype=torch.uint8)
        table[VOID] = VOID
        for class_id in annotated:
            table[class_id] = self.channel_of(class_id) - self.background_channel
        return _looked_up(table, mask)

    def padding(self, *, saliency: bool) -> int:
        """The channel that the published code labels the padding of crops with.

        Args:
            saliency: whether images have saliency maps; without them the whole background is unknown.
        """
        return self.background_channel if saliency or not self.unknown else 0

    def encode_step_ground_truth(self, mask: Tensor, new: Collection[int]) -> Tensor:
        """A validation mask as `encode_ground_truth`, but every class outside `new` counts as background."""
        table = torch.full((256,), 0, dtype=torch.uint8)
        table[VOID] = VOID
        for position, class_id in enumerate(self.classes, start=1):
            if class_id in new:
                table[class_id] = position
        return table.to(mask.device)[mask.long()]

    def encode_ground_truth(self, mask: Tensor, future: Future = "ignore") -> Tensor:
        """Turns a validation mask into rows of a confusion matrix over [background, classes...].

        Classes that are not learned yet are left out (`ignore`, as the published code does) or count as background.

        Args:
            mask: uint8 (H, W), dataset ids.

        Returns:
            uint8 (H, W) in 0..len(classes), VOID where left out.
        """
        table = torch.full((256,), VOID if future == "ignore" else 0, dtype=torch.uint8)
        table[VOID] = VOID
        table[BACKGROUND_ID] = 0
        for position, class_id in enumerate(self.classes, start=1):
            table[class_id] = position
        return table.to(mask.device)[mask.long()]

    def candidate_channels(self, logits: Tensor, threshold: float) -> Tensor:
        """Which channels may decide a pseudo-label, for each image; with a softmax all, for it couples them.

        Args:
            logits: float (B, K, h, w) with K = num_channels, at any resolution from which scores are interpolated.
            threshold: see `pseudo_labels`.

        Returns:
            bool (B, K).
        """
        if self.activation == "softmax":
            return torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
        return logits.amax(dim=(2, 3)) >= _logit(threshold) - _ROUNDING

    def pseudo_labels(self, logits: Tensor, threshold: float, channels: Tensor | None = None) -> Tensor:
        """What this label space's network is sure of: the arg-max class where its score reaches the threshold.

        Args:
            logits: float (B, K, H, W) with K = num_channels.
            threshold: score in 0..1 (tau of the paper, 0.7). With sigmoids it is compared on the logits.
            channels: int64 (K,): the channel that each logit stands for, if `logits` holds only the able ones.

        Returns:
            uint8 (B, H, W): class channels, VOID where background, unknown or not sure.
        """
        if self.activation == "sigmoid":
            best, channel = logits.max(dim=1)
            sure = best >= _logit(threshold)
        else:
            best, channel = logits.softmax(dim=1).max(dim=1)
            sure = best >= threshold
        if channels is not None:
            channel = channels[channel]
        known = sure & (channel >= self.first_class_channel)
        return torch.where(known, channel, VOID).to(torch.uint8)

    def add_pseudo_labels(
        self, target: Tensor, old_logits: Tensor, threshold: float, channels: Tensor | None = None
    ) -> Tensor:
        """Fills a later step's target with this label space's pseudo-labels (SSUL, equation 3).

        Annotated and void pixels stay; unknown and background pixels where the old model is sure take its class.
        Old channels keep their numbers when a network grows, so that both label spaces agree on them.

        Args:
            target: uint8 (B, H, W), as `encode` makes it, of the with_step label space.
            old_logits: float (B, K, H, W), the old network's, K = this label space's num_channels.
            threshold, channels: see `pseudo_labels`.

        Returns:
            uint8 (B, H, W).
        """
        labels = self.pseudo_labels(old_logits, threshold, channels)
        return torch.where((target <= self.background_channel) & (labels != VOID), labels, target)

    def fold_unknown(self, logits: Tensor) -> Tensor:
        """Scores over [background, classes...]: the unknown's score counts as background (SSUL, section 3.4).

        Args:
            logits: float (B, num_channels, H, W), or of some of the classes: (B, first_class_channel + n, H, W).

        Returns:
            float (B, 1 + len(classes), H, W), or (B, 1 + n, H, W); sigmoid scores of background and unknown add up to
            at most 2.
        """
        scores = logits.sigmoid() if self.activation == "sigmoid" else logits.softmax(dim=1)
        if not self.unknown:
            return scores
        return torch.cat([scores[:, :1] + scores[:, 1:2], scores[:, 2:]], dim=1)

    def predict(self, logits: Tensor) -> Tensor:
        """The predicted position in [background, classes...] of each pixel, uint8 (B, H, W)."""
        first = self.first_class_channel
        best, position = logits[:, first:].max(dim=1)
        return self.argmax_with_background(logits[:, :first], best, position + 1)

    def argmax_with_background(self, front: Tensor, best: Tensor, position: Tensor) -> Tensor:
        """The end of a prediction: the class that is best of all classes, or the background where it scores no less.

        The order of the classes is that of their logits, so that scores are needed of the best alone, whatever the
        number of classes; and of a softmax only these few channels, for its denominator is common to all.

        Args:
            front: float (B, first_class_channel, H, W), the logits before the classes': (unknown and) background.
            best: float (B, H, W), the greatest logit of a class.
            position: integers (B, H, W), the position of that class in [background, classes...].

        Returns:
            uint8 (B, H, W).
        """
        if self.unknown:
            scores = self.fold_unknown(torch.cat([front, best[:, None]], dim=1))
            is_background = scores[:, 0] >= scores[:, 1]
        else:
            is_background = front[:, 0] >= best
        return position.to(torch.uint8).masked_fill(is_background, 0)

    def decode(self, positions: Tensor) -> Tensor:
        """Turns positions in [background, classes...] back into dataset ids; VOID stays.

        Args:
            positions: uint8, any shape, as `predict` and `encode_ground_truth` make them.
        """
        table = torch.full((256,), VOID, dtype=torch.uint8)
        table[0] = BACKGROUND_ID
        for position, class_id in enumerate(self.classes, start=1):
            table[position] = class_id
        return table.to(positions.device)[positions.long()]


def _looked_up(table: Tensor, mask: Tensor) -> Tensor:
    """`table[mask.long()]`, in a quarter of the time: this is done to every sample."""
    return table.index_select(0, mask.reshape(-1).int()).view(mask.shape)


def _logit(score: float) -> float:
    if score <= 0.0:
        return -math.inf
    return math.inf if score >= 1.0 else math.log(score / (1.0 - score))
