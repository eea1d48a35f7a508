"""The colours of dataset ids."""

from collections.abc import Sequence

from ssul.labels.ids import VOID

Colour = tuple[int, int, int]
"""RGB, 0..255."""
VOID_COLOUR: Colour = (224, 224, 192)


def is_colour(value: object) -> bool:
    """Whether a value from a file is three integers of 0..255."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(type(one) is int and 0 <= one <= 255 for one in value)
    )


def voc_colours(count: int) -> tuple[Colour, ...]:
    """The first `count` colours of the Pascal VOC colour map (bits of the id spread over the three channels)."""
    return tuple(
        (
            sum((index >> (3 * bit) & 1) << (7 - bit) for bit in range(3)),
            sum((index >> (3 * bit + 1) & 1) << (7 - bit) for bit in range(3)),
            sum((index >> (3 * bit + 2) & 1) << (7 - bit) for bit in range(3)),
        )
        for index in range(count)
    )


def id_colours(palette: Sequence[Colour]) -> list[int]:
    """The palette of an 8-bit image of dataset ids: 256 colours as one list of channels, void in VOC's cream.

    Args:
        palette: RGB 0..255 of the background and of each class.
    """
    colours = [*palette, *[(0, 0, 0)] * (VOID - len(palette)), VOID_COLOUR]
    return [channel for colour in colours for channel in colour]
