"""The background's part in an evaluation: whether the ground truth can show it, and whether it is predicted.

In a dataset without a background every pixel is of a class or void. There a prediction of background is never right,
unless classes that are learned later count as background.
"""

from dataclasses import dataclass
from typing import Literal

from ssul.labels.ids import BACKGROUND_NAME

Future = Literal["ignore", "background"]
"""How validation pixels of classes that are not learned yet count."""
Unknown = Literal["auto", "background", "never"]
"""What the unknown becomes in a prediction.

`background`: its score is added to the background's (SSUL, section 3.4). `never`: neither is predicted, and each pixel
gets the best of the learned classes. `auto`: `background` where the background can be right, else `never`.
"""


@dataclass(frozen=True)
class Background:
    """The background's part in the evaluation of a step.

    Attributes:
        possible: whether the ground truth can show it. Only then a prediction of it can be right.
        predicted: whether it is predicted: then background and unknown compete with the classes.
    """

    possible: bool
    predicted: bool

    @classmethod
    def of(cls, *, in_data: bool, classes_left: int, future: Future, unknown: Unknown) -> "Background":
        """The background's part after a step.

        Args:
            in_data: whether the dataset has a background.
            classes_left: how many classes of the dataset are not learned yet.
            future: see `Future`.
            unknown: see `Unknown`.
        """
        possible = in_data or (future == "background" and classes_left > 0)
        return cls(possible, predicted=possible if unknown == "auto" else unknown == "background")

    @property
    def counted(self) -> bool:
        """Whether it has a row and a column in the confusion matrix."""
        return self.possible or self.predicted

    def names(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """The names of the rows of the confusion matrix: the background if it is counted, and the learned classes."""
        return (BACKGROUND_NAME, *classes) if self.counted else classes
