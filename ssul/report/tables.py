"""The numbers of a run as text and Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssul.report.markdown import markdown, markdown_table
from ssul.report.rows import HOLDOUT, SHOWN, heading, scored_names

UNDEFINED = "–"  # noqa: RUF001 (a hyphen would look like a minus)
_NAMES_WIDTH = 80  # characters of a step's class names on the page; the class tables have them all


def run_table(run: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The scores of each step as text below a headline that names the run.

    Args:
        run: its name, with the seed.
        rows: as `per_step` returns them.
    """
    return f"{run}: mean IoU and forgetting in percent\n\n{text_table(rows)}\n"


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scores of each step as aligned text, in percent.

    Args:
        rows: as `per_step` returns them.
    """
    head = ["step", "classes learned", *map(heading, SHOWN)]
    body = [[str(row["step"]), summary(row["learned"]), *(percent(row[key], "-") for key in SHOWN)] for row in rows]
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]
    return "\n".join(_aligned(line, widths) for line in (head, *body))


def markdown_steps(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scores of each step as a Markdown table, in percent; rows as `per_step` returns them."""
    return markdown_table(
        ["step", "classes learned", *map(heading, SHOWN)],
        [[str(row["step"]), _names(row["learned"]), *(percent(row[key]) for key in SHOWN)] for row in rows],
        align="rl" + "r" * len(SHOWN),
    )


def markdown_holdout(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scores on held-out training images as a Markdown table, in percent; rows are `Scores` as dicts."""
    shown = [(row["step"], row["holdout"]) for row in rows if row["holdout"]]
    return markdown_table(
        ["step", "images", *map(heading, HOLDOUT)],
        [[str(step), str(held["images"]), *(percent(held[key]) for key in HOLDOUT)] for step, held in shown],
        align="r" * (2 + len(HOLDOUT)),
    )


def markdown_split_steps(steps: Sequence[Mapping[str, Any]]) -> str:
    """The training images of each step as a Markdown table.

    Args:
        steps: as `ssul.scenario.summary.summarise` makes them.
    """
    held_out = any(step["held_out"] for step in steps)
    head = ["step", "new classes", "images", "appear again later", *(["held out so far"] if held_out else [])]
    keys = ["images", "appear_again", *(["held_out"] if held_out else [])]
    body = [
        [str(step["step"]), _names([one["name"] for one in step["classes"]]), *(str(step[key]) for key in keys)]
        for step in steps
    ]
    return markdown_table(head, body, align="rl" + "r" * len(keys))


def markdown_split_classes(steps: Sequence[Mapping[str, Any]]) -> str:
    """The training images of each class as a Markdown table; steps as in `markdown_split_steps`."""
    return markdown_table(
        ["class", "learned at", "images", "in other steps (not annotated there)"],
        [
            [markdown(one["name"]), f"step {step['step']}", str(one["images"]), str(one["other_steps"])]
            for step in steps
            for one in step["classes"]
        ],
        align="llrr",
    )


def markdown_classes(rows: Sequence[Mapping[str, Any]], learned: Sequence[Sequence[str]]) -> str:
    """The IoU of each class (row) after each step (column) as a Markdown table, in percent.

    A cell is empty before its class is learned, and where the background is not counted. An undefined IoU is a dash.
    """
    since = {name: step for step, group in enumerate(learned) for name in group}
    head = ["class", "learned at", *(f"after step {row['step']}" for row in rows)]
    body = [
        [
            markdown(name),
            f"step {since[name]}" if name in since else "",
            *(percent(row["iou"][name]) if name in row["iou"] else "" for row in rows),
        ]
        for name in scored_names(rows)
    ]
    return markdown_table(head, body, align="ll" + "r" * len(rows))


def percent(value: float | None, undefined: str = UNDEFINED) -> str:
    """A fraction in 0..1 as percent with one decimal, without the sign."""
    return undefined if value is None else f"{100 * value:.1f}"


def summary(names: Sequence[str], *, width: int = 32) -> str:
    """Names in one line of about `width` characters: all, or the first ones and the number of all."""
    line = ", ".join(names)
    if len(line) <= width:
        return line
    tail = f", ... ({len(names)})"
    kept = [name for position, name in enumerate(names) if len(", ".join(names[: position + 1])) + len(tail) <= width]
    return ", ".join(kept or names[:1]) + tail


def _names(names: Sequence[str]) -> str:
    return markdown(summary(names, width=_NAMES_WIDTH))


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
    cells[1] = line[1].ljust(widths[1])
    return "  ".join(cells)
