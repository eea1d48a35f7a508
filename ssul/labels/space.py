"""The label space: the only module that knows the channel numbers of unknown, background and classes.

A *dataset id* is 0 for the background and 1.. for the classes, see `ssul.labels.ids`. A *channel* is a position in the
network's logits and in a training target. With the unknown head the channels are
`[unknown][background][base C0][new C1]...[new Ct]`, without it `[background][base C0][new C1]...` (SSUL, section 3.2;
the order of the published code). A *class index* is a value of a prediction: 0 is the background, and the classes
follow in learning order.
"""

import itertools
import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ssul.errors import UserError
from ssul.labels.background import Future
from ssul.labels.ids import BACKGROUND_ID, VOID

Activation = Literal["sigmoid", "softmax"]
"""How logits become scores: per-class sigmoids (BCE, the paper's choice) or one softmax (CE)."""


@dataclass(frozen=True)
class LabelSpace:
    """The meaning of a network's channels after a step.

    Attributes:
        groups: the dataset ids that each step learned, in learning order: (base C0, C1, ..., Ct).
        unknown: whether channel 0 is the unknown class (SSUL); softmax methods and an ablation have none.
        activation: how logits become scores.
        constant_background: whether the background's logit is 0 and does not learn, so that a class wins where its
            sigmoid exceeds 0.5 (DKD, STAR). The unknown is then an auxiliary class, which no prediction uses.
        base_heads: how the base classes are shared out among heads, in learning order, where a network that learned
            them in several steps is the base of another scenario; None for one head.
    """

    groups: tuple[tuple[int, ...], ...]
    unknown: bool
    activation: Activation
    constant_background: bool = False
    base_heads: tuple[int, ...] | None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """All learned dataset ids in learning order, without the background."""
        return tuple(class_id for group in self.groups for class_id in group)

    @property
    def num_classes(self) -> int:
        """Number of class indices: the background and the learned classes."""
        return 1 + len(self.classes)

    @property
    def unknown_channel(self) -> int:
        """The channel of the unknown class.

        Raises:
            ValueError: if there is none.
        """
        return self.channels_of_heads([self.unknown_head])[0]

    @property
    def background_channel(self) -> int:
        """1 after the unknown channel, else 0."""
        return int(self.unknown)

    @property
    def first_class_channel(self) -> int:
        """The channel of the first base class."""
        return self.background_channel + 1

    @property
    def first_scored_channel(self) -> int:
        """The first channel that a prediction uses: an auxiliary one before the background is left out."""
        return self.background_channel if self.constant_background else 0

    @property
    def num_channels(self) -> int:
        """Number of channels of the logits."""
        return self.first_class_channel + len(self.classes)

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Channels of each head.

        [1, 1, C0, C1, ...] with the unknown head, [1 + C0, C1, ...] without it, [1, C0, C1, ...] without it but with a
        constant background.
        """
        first, *others = self._class_heads
        front = (1, 1, first) if self.unknown else (1, first) if self.constant_background else (1 + first,)
        return (*front, *others)

    @property
    def _class_heads(self) -> tuple[int, ...]:
        """The number of classes of each head that has some."""
        base, *later = (len(group) for group in self.groups)
        return (*(self.base_heads or (base,)), *later)

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
        """Index of the head of the background (and, without the unknown head, of the base classes)."""
        return self.background_channel

    @property
    def constant_head(self) -> int | None:
        """Index of the head whose logit is 0; None where the background learns."""
        return self.background_head if self.constant_background else None

    @property
    def background_in_head(self) -> int:
        """The background's channel within `background_head`, from 0."""
        return self.background_channel - self.channels_of_heads([self.background_head])[0]

    def channels_of_heads(self, heads: Collection[int]) -> list[int]:
        """The channels of some heads, ascending."""
        starts = [0, *itertools.accumulate(self.head_sizes)]
        return [channel for head in sorted(heads) for channel in range(starts[head], starts[head + 1])]

    def with_step(self, new: Sequence[int]) -> "LabelSpace":
        """The label space after one more step that learns the dataset ids `new`."""
        return replace(self, groups=(*self.groups, tuple(new)))

    def as_base(self, ids: Sequence[int]) -> "LabelSpace":
        """The label space of the same channels where the base step learned all classes, under other dataset ids.

        Args:
            ids: of the classes, in learning order.
        """
        heads = self._class_heads
        return replace(self, groups=(tuple(ids),), base_heads=heads if len(heads) > 1 else None)

    def to_dict(self) -> dict[str, Any]:
        """The label space as JSON, for a checkpoint; `from_dict` reads it."""
        return {
            "groups": [list(group) for group in self.groups],
            "unknown": self.unknown,
            "activation": self.activation,
            **({"constant_background": True} if self.constant_background else {}),
            **({"base_heads": list(self.base_heads)} if self.base_heads else {}),
        }

    @classmethod
    def from_dict(cls, description: Any) -> "LabelSpace":
        """Reads the output of `to_dict`.

        Raises:
            UserError: if it is not a label space.
        """
        try:
            groups = tuple(tuple(group) for group in description["groups"])
            unknown, activation = description["unknown"], description["activation"]
            constant = description.get("constant_background", False)
            heads = tuple(description["base_heads"]) if "base_heads" in description else None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserError(f"a checkpoint's label space is not readable: {reprlib.repr(description)}") from None
        ids = [class_id for group in groups for class_id in group]
        valid = all(type(class_id) is int and BACKGROUND_ID < class_id < VOID for class_id in ids)  # True is not an id
        valid = valid and all(groups) and 0 < len(ids) == len(set(ids))
        valid = valid and isinstance(unknown, bool) and isinstance(constant, bool)
        valid = valid and (heads is None or all(type(one) is int and one > 0 for one in heads))
        valid = valid and (heads is None or sum(heads) == len(groups[0]))
        if not valid or activation not in get_args(Activation) or (constant and activation != "sigmoid"):
            raise UserError(f"a checkpoint's label space is not valid: {reprlib.repr(description)}")
        return cls(groups, unknown, activation, constant, heads)

    def channel_of(self, class_id: int) -> int:
        """The channel of a learned class.

        Raises:
            KeyError: if the class is not learned.
        """
        try:
            return self.first_class_channel + self.classes.index(class_id)
        except ValueError:
            raise KeyError(class_id) from None

    def class_of(self, channel: int) -> int:
        """The dataset id of a class channel (`first_class_channel` and up)."""
        return self.classes[channel - self.first_class_channel]

    def class_index(self, dataset_id: int) -> int:
        """The class index of the background or of a learned class.

        Raises:
            KeyError: if the class is not learned.
        """
        if dataset_id == BACKGROUND_ID:
            return 0
        return self.channel_of(dataset_id) - self.background_channel

    def encode(self, mask: Tensor, saliency: Tensor | None, annotated: Collection[int]) -> Tensor:
        """Turns a mask into a training target, for new images and memory images alike.

        (The published code shifts only the new ones by the unknown channel, so that its memory trains wrong heads.)

        Args:
            mask: uint8 (H, W), dataset ids, VOID where void.
            saliency: uint8 (H, W), positive where a salient object is. None for datasets without saliency, whose whole
                background becomes unknown (SSUL, section 3.2). Unused without an unknown channel.
            annotated: the dataset ids that are annotated in this image; every other class is background.

        Returns:
            uint8 (H, W): channels, VOID where void.

        Raises:
            KeyError: if an annotated class is not learned.
        """
        channels = {class_id: self.channel_of(class_id) for class_id in annotated}
        target = _look_up(_table(channels, default=self.background_channel), mask)
        if self.unknown:
            # On bytes, torch is many times faster when it compares with a tensor and multiplies than when it compares
            # with a number and fills by a mask.
            background = target == torch.full_like(target, self.background_channel)
            target *= ~(background if saliency is None else background & saliency.bool())  # to channel 0
        return target

    def encode_without_unknown_shift(self, mask: Tensor, annotated: Collection[int]) -> Tensor:
        """A memory image's target as the published code makes it: without the shift by the unknown channel.

        So each label trains the channel before its own, and the background trains the unknown channel. Saliency is
        unused. This is a bug, kept to measure its cost. The arguments are those of `encode`.
        """
        return _look_up(_table({class_id: self.class_index(class_id) for class_id in annotated}, default=0), mask)

    def padding(self, *, saliency: bool, without_unknown_shift: bool = False) -> int:
        """The channel of the padding of crops in the published code.

        Args:
            saliency: whether images have saliency maps; without them the whole background is unknown.
            without_unknown_shift: whether the image's target is made by `encode_without_unknown_shift`.
        """
        return self.background_channel if saliency and not without_unknown_shift else 0

    def encode_step_ground_truth(self, mask: Tensor, new: Collection[int]) -> Tensor:
        """A validation mask as `encode_ground_truth` makes it, but every class outside `new` counts as background."""
        indices = {class_id: self.class_index(class_id) for class_id in self.classes if class_id in new}
        return _look_up(_table(indices, default=0), mask)

    def encode_ground_truth(self, mask: Tensor, future: Future = "ignore") -> Tensor:
        """Turns a validation mask into class indices.

        Classes that are not learned yet are left out (`ignore`, as in the published code) or count as background.

        Args:
            mask: uint8, any shape, dataset ids, VOID where void.
            future: `ignore` or `background`.

        Returns:
            uint8, the shape of the mask, in 0..num_classes-1, VOID where left out.
        """
        indices = {class_id: index for index, class_id in enumerate((BACKGROUND_ID, *self.classes))}
        return _look_up(_table(indices, default=VOID if future == "ignore" else 0), mask)

    def decode(self, indices: Tensor) -> Tensor:
        """Turns class indices back into dataset ids; VOID stays.

        Args:
            indices: uint8, any shape, as `predict` and `encode_ground_truth` make them.

        Returns:
            uint8, the same shape.
        """
        return _look_up(_table(dict(enumerate((BACKGROUND_ID, *self.classes))), default=VOID), indices)


def _table(entries: Mapping[int, int], *, default: int) -> Tensor:
    """A lookup table uint8 (256,); VOID is its own entry."""
    return torch.tensor([*(entries.get(value, default) for value in range(VOID)), VOID], dtype=torch.uint8)


def _look_up(table: Tensor, values: Tensor) -> Tensor:
    """`table[values.long()]`, but four times as fast, because every sample needs it."""
    return table.to(values.device).index_select(0, values.reshape(-1).int()).view(values.shape)
