"""The order in which classes are learned, and the names of scenarios."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ssul.errors import UserError
from ssul.scenario.class_orders import published_orders
from ssul.scenario.scenario import Scenario


def learning_order(order: str | Sequence[int | str], *, dataset: str, names: Sequence[str]) -> tuple[int, ...]:
    """The class ids in the order in which they are learned.

    Args:
        order: `natural` (the dataset's own numbering), the letter of a published order, or classes in any order, each
            by its id or by its name. An id is a place in `names`, from 1, not a value in the mask files. Classes that a
            list leaves out are never learned; they count as classes of a later step.
        dataset: its name, under which orders are published.
        names: of the dataset's classes, by id.

    Raises:
        UserError: if the dataset has no such order, or the list names none of its classes, one twice, or another.
    """
    natural = tuple(range(1, len(names) + 1))
    if isinstance(order, str):
        orders = {"natural": natural, **published_orders(dataset)}
        if order not in orders:
            raise UserError(
                f"scenario.order is '{order}', which the dataset does not have: choose {', '.join(orders)}, or list "
                f"classes by name or by id 1..{len(natural)}"
            )
        return orders[order]
    ids = tuple(_class_id(item, names) for item in order)
    foreign = sorted(set(ids) - set(natural))
    twice = sorted(class_id for class_id, times in Counter(ids).items() if times > 1)
    if foreign or twice or not ids:
        raise UserError(
            f"scenario.order must list classes by name or by id 1..{len(natural)}, each at most once: "
            f"unknown {foreign}, repeated {twice}. An id is a place in the dataset's list of classes (1 is "
            f"{names[0]}), not a value in the mask files"
        )
    return ids


def make_scenario(
    order: str | Sequence[int | str], base_classes: int, increment: int, *, dataset: str, names: Sequence[str]
) -> Scenario:
    """The scenario of some parameters.

    Args:
        order, dataset, names: see `learning_order`.
        base_classes, increment: see `Scenario`.

    Raises:
        UserError: if the order or the arithmetic does not fit the dataset.
    """
    return Scenario(learning_order(order, dataset=dataset, names=names), base_classes, increment)


def _class_id(item: int | str, names: Sequence[str]) -> int:
    if not isinstance(item, str):
        return item
    if item in names:
        return names.index(item) + 1
    close = difflib.get_close_matches(item, names, n=1)
    guess = f" (did you mean '{close[0]}'?)" if close else ""
    raise UserError(
        f"scenario.order names the class '{item}', which the dataset does not have{guess}: {', '.join(names)}"
    )


@dataclass(frozen=True)
class ScenarioName:
    """The parts of a scenario's name, such as `voc_15-1`, `voc_15-1_b` or `ade_offline`.

    Attributes:
        dataset: its name.
        base_classes, increment: see `Scenario`; both None for `offline`, which learns all classes at once.
        order: `natural`, or the letter of a published order.
    """

    dataset: str
    base_classes: int | None
    increment: int | None
    order: str

    @classmethod
    def parse(cls, name: str) -> "ScenarioName":
        """Reads a name.

        Raises:
            UserError: if it is not a scenario's name; the message shows the form of one.
        """
        found = re.fullmatch(r"(.+)_(?:(\d+)-(\d+)|offline)(?:_([a-z]+))?", name)
        if not found:
            raise UserError(
                f"'{name}' is not the name of a scenario: a name is DATASET_BASE-INCREMENT or DATASET_offline, and the "
                "letter of a published order may follow, as in voc_15-1, voc_15-1_b, ade_100-50, voc_offline"
            )
        dataset, base, increment, order = found.groups()
        return cls(dataset, int(base) if base else None, int(increment) if increment else None, order or "natural")

    def scenario(self, order: tuple[int, ...]) -> Scenario:
        """The scenario over a class order."""
        if self.base_classes is None or self.increment is None:
            return Scenario(order, len(order), 1)
        return Scenario(order, self.base_classes, self.increment)
