"""How a data set lies on disk and what the values in its masks mean."""

from collections.abc import Sequence
from dataclasses import dataclass

VOID = 255
"""The data set id of pixels that are in no loss and no score, whatever value stands for them in the mask files."""
BACKGROUND_ID = 0
"""The data set id of the background; the classes are 1 and up."""

Colour = tuple[int, int, int]
"""RGB, 0..255."""
VOID_COLOUR: Colour = (224, 224, 192)


@dataclass(frozen=True)
class Files:
    """Where the files of a split lie below the data root, as templates in which `{id}` stands for the image id.

    Attributes:
        image: an RGB or grey photograph, JPEG or PNG.
        mask: an 8-bit palette or grey PNG of class values.
        saliency: an 8-bit PNG, positive where a salient object is; None where the split has none.
        list: the image list, one id a line. None: every mask in its place that the other split does not name.
        list_may_lack: whether a list that is not there is as good as None.
    """

    image: str
    mask: str
    saliency: str | None = None
    list: str | None = None
    list_may_lack: bool = False


@dataclass(frozen=True)
class MaskValues:
    """What the values in the mask files mean.

    Attributes:
        background: whether 0 is a background; a data set without one gives every pixel a class or void.
        first: the value of the first class; the others follow.
        void: the value of pixels that are not annotated; None if there are none.
    """

    background: bool = True
    first: int = 1
    void: int | None = VOID

    def ids(self, classes: int) -> dict[int, int]:
        """Mask value -> data set id, for a number of classes."""
        known = {self.first + position: position + 1 for position in range(classes)}
        if self.background:
            known[0] = BACKGROUND_ID
        if self.void is not None:
            known[self.void] = VOID
        return known


def id_colours(palette: Sequence[Colour]) -> list[int]:
    """The palette of an 8-bit picture of data set ids: 256 colours in a row, void in VOC's cream.

    Args:
        palette: of the background and of each class.
    """
    colours = [*palette, *[(0, 0, 0)] * (VOID - len(palette)), VOID_COLOUR]
    return [channel for colour in colours for channel in colour]
