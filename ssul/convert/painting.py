"""Instances, painted over each other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Instance:
    """One annotated object.

    Attributes:
        value: of its class in the mask.
        place: the rows and columns of its bounding box.
        inside: bool, its pixels within the box.
        crowd: whether it is a group of objects, roughly outlined; it lies below all others.
    """

    value: int
    place: tuple[slice, slice]
    inside: NDArray[np.bool_]
    crowd: bool = False

    @classmethod
    def of(cls, value: int, pixels: NDArray[np.bool_], *, crowd: bool = False) -> "Instance | None":
        """The instance of some pixels of an image, bool (H, W); None if there are none."""
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not rows.size:
            return None
        place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return cls(value, place, pixels[place].copy(), crowd)


def paint(instances: Iterable[Instance], height: int, width: int) -> NDArray[np.uint8]:
    """The mask of instances, the larger below the smaller, so that small ones stay visible; 0 is where none is.

    Of two of the same size the later one is on top.
    """
    values = np.zeros((height, width), dtype=np.uint8)
    for one in sorted(instances, key=lambda one: (not one.crowd, -np.count_nonzero(one.inside))):
        values[one.place][one.inside] = one.value
    return values
