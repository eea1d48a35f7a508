"""The tables of coloured cells on the interactive page: IoU of classes over steps, confusion of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssul.evaluation.results import Results
from ssul.report.heatmaps import borders, class_shares, most_confused
from ssul.report.page_data import cell_key
from ssul.report.rows import learned_classes, scored_names
from ssul.report.tables import UNDEFINED, percent


@dataclass(frozen=True)
class TableCell:
    """A cell.

    Attributes:
        text: what stands in it.
        shade: 0..100, how dark it is; None leaves it blank.
        words: what stands beside the pointer; empty where there is nothing to say.
        key: see `ssul.report.page_data.cell_key`; empty where the cell opens nothing.
    """

    text: str = ""
    shade: float | None = None
    words: str = ""
    key: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row: the class's name, its cells, and whether a line above separates it from the classes of the step before."""

    name: str
    cells: tuple[TableCell, ...]
    first: bool = False


def iou_rows(results: Results) -> list[TableRow]:
    """IoU of each class (row) after each step (column)."""
    names = scored_names(results.rows)
    firsts = borders(len(names), results.group_sizes)
    learned = learned_classes(results.names, results.group_sizes)
    since = {name: step for step, group in enumerate(learned) for name in group}
    return [
        TableRow(
            name,
            tuple(_iou_cell(name, since.get(name, 0), step, results.rows) for step in range(len(results.rows))),
            first=position in firsts,
        )
        for position, name in enumerate(names)
    ]


def confusion_rows(results: Results, ids: Mapping[str, int]) -> list[TableRow]:
    """The share of each true class (row) that is taken for each class (column), of the most confused classes.

    Args:
        results: of all steps.
        ids: dataset ids by the name of the class.
    """
    shares = class_shares(results.confusion)
    shown = most_confused(shares)
    firsts = borders(len(results.names), results.group_sizes)
    return [
        TableRow(
            results.names[true],
            tuple(
                _confusion_cell(results.names[true], results.names[predicted], shares[true, predicted], ids)
                for predicted in shown
            ),
            first=true in firsts,
        )
        for true in shown
    ]


def _iou_cell(name: str, since: int, step: int, rows: Sequence[Mapping[str, Any]]) -> TableCell:
    if name not in rows[step]["iou"]:
        return TableCell()
    value = rows[step]["iou"][name]
    if value is None:
        return TableCell(
            UNDEFINED, words=f"{name} after step {step}: undefined, no pixel of it is evaluated or predicted"
        )
    first = rows[since]["iou"].get(name)
    change = f"; {100 * (value - first):+.1f} since step {since}" if step > since and first is not None else ""
    return TableCell(percent(value), 100 * value, f"{name} after step {step}: {percent(value)} %{change}")


def _confusion_cell(true: str, predicted: str, share: float, ids: Mapping[str, int]) -> TableCell:
    if share != share:  # not a number: no pixel of the true class
        return TableCell(UNDEFINED, words=f"no pixel of {true} is evaluated")
    words = f"{share:.1f} % of {true} is " + ("right" if true == predicted else f"taken for {predicted}")
    key = cell_key((ids[true], ids[predicted])) if share else ""
    # the root makes small shares visible, as in the figure
    return TableCell(f"{share:.0f}" if share >= 0.5 else "", 10 * share**0.5, words, key)
