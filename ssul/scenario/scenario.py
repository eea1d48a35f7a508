"""The classes that each step learns, and the training images that belong to it.

A scenario is arithmetic over a class order: `15-1` learns the first fifteen classes of the order at step 0, then
one more at each step. Membership of images is set algebra over the classes that their masks show.
"""

import itertools
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ssul.errors import UserError

Setting = Literal["overlapped", "disjoint", "partitioned"]
SETTINGS: tuple[str, ...] = get_args(Setting)


@dataclass(frozen=True)
class Step:
    """One step of a scenario.

    Attributes:
        index: position in the scenario, from 0 (the base step).
        new: dataset ids of the classes learned at this step, in learning order.
        old: ids of all classes learned before, in learning order; empty at step 0. Background is in neither.
    """

    index: int
    new: tuple[int, ...]
    old: tuple[int, ...]

    @property
    def seen(self) -> tuple[int, ...]:
        """All classes known after this step, in learning order."""
        return self.old + self.new


@dataclass(frozen=True)
class Scenario:
    """A class order cut into a base step and increments; the last step takes the rest.

    Attributes:
        order: dataset ids of the classes, in learning order.
        base_classes: how many are learned at step 0, in 1..len(order).
        increment: how many are learned at each later step, at least 1 unless step 0 learns all of them.
    """

    order: tuple[int, ...]
    base_classes: int
    increment: int

    def __post_init__(self) -> None:
        count = len(self.order)
        if len(set(self.order)) != count or any(class_id < 1 for class_id in self.order):
            raise UserError(f"scenario.order must name each class once, by ids from 1: got {list(self.order)}")
        if not 1 <= self.base_classes <= count:
            raise UserError(
                f"scenario.base_classes is {self.base_classes}, but only {count} classes are learned: choose 1..{count}"
            )
        rest = count - self.base_classes
        if rest and not 1 <= self.increment <= rest:
            raise UserError(
                f"scenario.increment is {self.increment}, but {rest} of {count} classes are left after "
                f"base_classes={self.base_classes}: choose 1..{rest}, or base_classes={count} to learn all at once"
            )

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in order; their `new` classes partition the order."""
        cuts = [0, self.base_classes]
        while cuts[-1] < len(self.order):
            cuts.append(min(cuts[-1] + self.increment, len(self.order)))
        return tuple(
            Step(index, self.order[start:end], self.order[:start])
            for index, (start, end) in enumerate(itertools.pairwise(cuts))
        )

    @property
    def remainder(self) -> str | None:
        """A sentence about a smaller last step; None where the classes divide evenly."""
        last = self.steps[-1]
        if last.index == 0 or len(last.new) == self.increment:
            return None
        return (
            f"{len(self.order) - self.base_classes} classes after the base do not divide by increment="
            f"{self.increment}: the last step learns the remaining {len(last.new)}"
        )


def pipeline_steps(scenario: Scenario) -> dict[str, dict[str, int]]:
    """The increments in the form that dvc.yaml's `foreach` takes: string keys, and the previous step of each.

    >>> pipeline_steps(Scenario((1, 2, 3), base_classes=1, increment=1))
    {'1': {'prev': 0}, '2': {'prev': 1}}
    """
    return {str(step.index): {"prev": step.index - 1} for step in scenario.steps[1:]}


def belongs(present: Iterable[int], step: Step, setting: Setting) -> bool:
    """Whether an image is a training image of a step, by the classes its mask shows.

    overlapped: it shows a new class. disjoint: and no class of a later step. (Method, section 3.1 of the SSUL
    paper; the `partitioned` setting of arXiv 2405.09858 is decided for all images together, see `partition`.)
    """
    shown = set(present)
    if not shown & set(step.new):
        return False
    return setting == "overlapped" or shown <= set(step.seen)


def partition(present: Mapping[str, Iterable[int]], seed: int) -> dict[str, int]:
    """Assigns each image to one of the classes that it shows, at random (arXiv 2405.09858, partitioned setting).

    The choice depends on the image, its classes and the seed alone, not on the scenario or on other images.

    Args:
        present: image id -> ids of the classes that it shows.
        seed: any integer.

    Returns:
        image id -> class id; images that show no class are left out.
    """
    assigned = {}
    for image_id, classes in present.items():
        shown = sorted(set(classes))
        if shown:
            assigned[image_id] = random.Random(f"{seed}/{image_id}").choice(shown)
    return assigned


def step_images(present: Mapping[str, Iterable[int]], step: Step, setting: Setting, seed: int) -> list[str]:
    """The ids of a step's training images, in the order of `present`.

    Args:
        present: image id -> ids of the classes that its mask shows (background and void left out).
        step: the step.
        setting: one of SETTINGS.
        seed: decides the partitioned setting's assignment; the other settings do not use it.
    """
    if setting == "partitioned":
        assigned = partition(present, seed)
        return [image_id for image_id in present if assigned.get(image_id) in step.new]
    return [image_id for image_id, classes in present.items() if belongs(classes, step, setting)]
