"""Which instance is on top."""

import numpy as np

from ssul.convert.painting import Instance, paint


def instance(value: int, columns: slice, *, crowd: bool = False) -> Instance:
    pixels = np.zeros((1, 6), dtype=np.bool_)
    pixels[:, columns] = True
    found = Instance.of(value, pixels, crowd=crowd)
    assert found is not None
    return found


def test_small_instances_lie_above_large_ones_and_all_above_crowds() -> None:
    crowd, large, small = instance(1, slice(3, 4), crowd=True), instance(2, slice(0, 4)), instance(3, slice(1, 3))
    for order in ([crowd, large, small], [small, large, crowd]):
        assert paint(order, 1, 6).tolist() == [[2, 3, 3, 2, 0, 0]]


def test_of_equal_ones_the_later_is_on_top() -> None:
    assert paint([instance(1, slice(0, 2)), instance(2, slice(1, 3))], 1, 6).tolist() == [[1, 2, 2, 0, 0, 0]]


def test_no_pixel_is_no_instance() -> None:
    assert Instance.of(1, np.zeros((2, 2), dtype=np.bool_)) is None
