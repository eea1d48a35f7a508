"""What STAR keeps of the classes so far: where their features lie, and how many there were."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ssul.methods.star.feature_sums import FeatureSums

HIDDEN_SHARE = 0.01
"""The share of the past background that each new class is taken to have hidden in, where images repeat."""
REPEATED_SHARE = 0.5
"""The share of a step's background that past steps are taken to have counted already, where images repeat."""


@dataclass(frozen=True)
class Kept:
    """Two vectors and three numbers for each class, and what is known of the background.

    Numbers of features are those of one pass over a step's augmented images, one for each cell of the feature map.

    Attributes:
        prototypes: float (n, C), unit vectors in the order of learning; 0 for a class of which no pixel was seen.
        spread: float (n, C), the standard deviation of unit features around them.
        length_mean, length_std: float (n,), of the features' lengths.
        counts: int64 (n,), N_c, the number of features of each class.
        background: float64 (), N_bg, the number of those of the background.
        images_repeat: bool (), whether an image may be in several steps (the overlapped setting).
    """

    prototypes: Tensor
    spread: Tensor
    length_mean: Tensor
    length_std: Tensor
    counts: Tensor
    background: Tensor
    images_repeat: Tensor

    @classmethod
    def after_base(cls, learned: FeatureSums, background: int, *, images_repeat: bool) -> "Kept":
        """What the base step leaves.

        Args:
            learned: of its classes.
            background: the number of features on background pixels.
            images_repeat: see above.
        """
        return cls(
            **_statistics(learned),
            background=torch.tensor(background, dtype=torch.float64),
            images_repeat=torch.tensor(images_repeat),
        )

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Kept":
        """Reads `tensors`."""
        return cls(**tensors)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The attributes by name."""
        return dict(vars(self))

    def after_increment(self, learned: FeatureSums, predicted: Tensor) -> "Kept":
        """What an increment leaves that had this.

        Args:
            learned: of its classes.
            predicted: int64 (1 + n,): how many of its unlabelled cells the old network gave to nothing, and to each old
                class.
        """
        nothing, old = predicted[0], predicted[1:]
        left = self._background_left(len(learned.counts))
        if self.images_repeat:
            earlier = replace(self, background=left + REPEATED_SHARE * nothing)
        else:
            earlier = replace(self, background=left + nothing, counts=self.counts + old)
        both = {name: torch.cat([getattr(earlier, name), new]) for name, new in _statistics(learned).items()}
        return replace(earlier, **both)

    def features_per_iteration(self, predicted: Tensor, iterations: int) -> Tensor:
        """How many features of each old class an iteration replays: what a pass over the step's images lacks of them.

        Args:
            predicted: see `after_increment`.
            iterations: of one pass.

        Returns:
            int64 (n,).
        """
        lacking = (self.counts - predicted[1:] if self.images_repeat else self.counts).clamp(min=0)
        return torch.where(self.prototypes.any(dim=1), lacking // iterations, 0)

    def background_ratio(self, predicted: Tensor, new: int) -> float:
        """How many times more a feature counts that is background to the annotation and to the old network.

        Args:
            predicted: see `after_increment`.
            new: the number of new classes.
        """
        nothing = int(predicted[0])
        if nothing == 0:  # then there is no such feature
            return 0.0
        seen_already = REPEATED_SHARE if self.images_repeat else 0.0
        return max(0.0, float(self._background_left(new)) / nothing - seen_already)

    def _background_left(self, new: int) -> Tensor:
        return self.background * (1 - HIDDEN_SHARE * new) if self.images_repeat else self.background


def _statistics(sums: FeatureSums) -> dict[str, Tensor]:
    """The attributes of `Kept` that are of classes, in single precision."""
    return {
        "prototypes": sums.prototypes.float(),
        "spread": sums.spread.float(),
        "length_mean": sums.length_mean.float(),
        "length_std": sums.length_std.float(),
        "counts": sums.counts,
    }
