"""What each data set is: its class names, colours and published class orders. The only place that spells them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ssul.errors import UserError

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class DataSet:
    """A data set in Pascal VOC's layout.

    Attributes:
        name: as in `data.name` and in front of a scenario's name.
        classes: names of the classes; the position, from 1, is the id in the masks. 0 is background.
        palette: RGB 0..255 of the background and of each class.
        train_list, val_list: names of the image lists in ImageSets/Segmentation.
        orders: published learning orders besides the natural one, by their published letter.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    train_list: str = "train_aug"
    val_list: str = "val"
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def class_name(self, class_id: int) -> str:
        """The name of a class id; `background` for 0."""
        return "background" if class_id == 0 else self.classes[class_id - 1]


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


_VOC_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor"
)

_SHAPES_PALETTE: tuple[Colour, ...] = (
    (28, 30, 38),
    (230, 75, 60),
    (250, 200, 60),
    (165, 105, 70),
    (60, 150, 220),
    (240, 110, 170),
    (170, 100, 220),
    (200, 60, 110),
    (165, 210, 60),
    (40, 150, 80),
    (70, 215, 205),
)

_DATA_SETS = (
    DataSet(
        name="shapes",
        classes=("ball", "star", "house", "fish", "heart", "flower", "mushroom", "moon", "kite", "gem"),
        palette=_SHAPES_PALETTE,
    ),
    DataSet(
        name="voc",
        classes=tuple(_VOC_CLASSES.split()),
        palette=voc_colours(21),
        orders={"b": (12, 9, 20, 7, 15, 8, 14, 16, 5, 19, 4, 1, 13, 2, 11, 17, 3, 6, 18, 10)},
    ),
)

CATALOG: Mapping[str, DataSet] = MappingProxyType({data_set.name: data_set for data_set in _DATA_SETS})
VOID_COLOUR: Colour = (224, 224, 192)


def data_set(name: str) -> DataSet:
    """The data set of a name.

    Raises:
        UserError: if there is none; names the known ones.
    """
    try:
        return CATALOG[name]
    except KeyError:
        raise UserError(f"data.name is '{name}', which is not in the catalog: choose {', '.join(CATALOG)}") from None


def learning_order(dataset: DataSet, order: str | Sequence[int]) -> tuple[int, ...]:
    """The class ids in the order in which they are learned.

    Args:
        dataset: the data set.
        order: `natural` (its own numbering), the letter of a published order, or all ids in any order.

    Raises:
        UserError: if the data set has no such order, or the ids are not each of its ids once.
    """
    natural = tuple(range(1, len(dataset.classes) + 1))
    if isinstance(order, str):
        orders = {"natural": natural, **dataset.orders}
        if order not in orders:
            raise UserError(
                f"scenario.order is '{order}', which {dataset.name} does not have: choose {', '.join(orders)}, or list "
                f"the ids 1..{len(natural)}"
            )
        return orders[order]
    if sorted(order) != list(natural):
        missing = sorted(set(natural) - set(order))
        foreign = sorted(set(order) - set(natural))
        twice = sorted(class_id for class_id, times in Counter(order).items() if times > 1)
        raise UserError(
            f"scenario.order must list each class id 1..{len(natural)} once: "
            f"missing {missing}, unknown {foreign}, repeated {twice}"
        )
    return tuple(order)
