"""The numbers of a run as tables: rows for JSON and for DVC's plots, aligned text, Markdown."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SHOWN = ("old", "new", "all", "previous", "current", "forgetting")
WITHOUT_BACKGROUND = ("old", "previous", "all")  # the means that hold the background, and are there without it too
SCORES = (*SHOWN, *(f"{name}_without_background" for name in WITHOUT_BACKGROUND), "pixel_accuracy", "average")
HOLDOUT = ("old", "new", "all")
UNDEFINED = "–"  # noqa: RUF001 (a hyphen would look like a minus)
_NAMES_WIDTH = 80  # characters of a step's class names on the page; the class tables have them all
_DIGITS = 6  # of numbers in JSON: far below any difference that means something, and diffs stay calm


def learned_classes(names: Sequence[str], group_sizes: Sequence[int]) -> list[tuple[str, ...]]:
    """The classes that each step learned.

    Args:
        names: background and the classes in learning order.
        group_sizes: number of classes that each step learned.
    """
    ends = [1 + sum(group_sizes[: step + 1]) for step in range(len(group_sizes))]
    return [tuple(names[end - size : end]) for end, size in zip(ends, group_sizes, strict=True)]


def per_step(rows: Sequence[Mapping[str, Any]], learned: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """One flat row a step, as reports/miou_per_step.json holds them.

    Args:
        rows: `Scores` as dicts.
        learned: the classes that each step learned.

    Returns:
        rows of `step`, `learned` (names in one string) and every score of SCORES in 0..1; a score that is undefined is
        there as None, because DVC draws no plot where a key is missing. Where training images are held out, also
        `holdout_old`, `holdout_new` and `holdout_all`.
    """
    held_out = any(row["holdout"] for row in rows)
    return [
        {"step": row["step"], "learned": one_line(names)} | _scores(row, held_out=held_out)
        for row, names in zip(rows, learned, strict=True)
    ]


def final_metrics(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What reports/metrics.json holds: the scores of the last step, and its IoU of each class, in 0..1 or None."""
    final = {"step": row["step"]} | _scores(row, held_out=bool(row["holdout"]))
    return {"final": final, "per_class_iou": {name: _rounded(value) for name, value in row["iou"].items()}}


def class_rows(row: Mapping[str, Any], learned: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """What reports/class_iou.json holds: for each class its last IoU in 0..1, and when it was learned."""
    since = {name: step for step, group in enumerate(learned) for name in group}
    return [
        {"class": name, "iou": _rounded(value), "step": since.get(name, 0)}
        for name, value in row["iou"].items()
        if value is not None
    ]


def training_rows(curves: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What reports/training_curve.json holds: the points of all steps, their iterations counted through.

    Args:
        curves: `ssul.training.curve.Curve` as dicts, one for each step that was trained.
    """
    rows, before = [], 0
    for curve in curves:
        rows += [
            {"iteration": before + point["iteration"], "step": f"step {curve['step']}", "loss": _rounded(point["loss"])}
            for point in curve["points"]
        ]
        before += curve["iterations"]
    return rows


def one_line(names: Sequence[str]) -> str:
    """Names with commas between them; one that holds a comma or a quote itself stands in quotes, as in CSV."""
    return ", ".join('"' + name.replace('"', '""') + '"' if re.search('[,"]', name) else name for name in names)


def names_of(line: str) -> list[str]:
    """The names that `one_line` put together."""
    found = re.finditer(r'(?:"((?:[^"]|"")*)"|([^"][^,]*|))(?:, |$)', line)
    return [match[2] if match[1] is None else match[1].replace('""', '"') for match in found if match[0]]


def absent_classes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Classes which some step neither saw in the truth nor predicted, so that its means leave them out."""
    return list(dict.fromkeys(name for row in rows for name in row["absent"]))


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scores of each step as aligned text, in percent.

    Args:
        rows: as `per_step` returns them and reports/miou_per_step.json holds them.
    """
    head = ["step", "classes learned", *SHOWN]
    body = [
        [str(row["step"]), summary(names_of(row["learned"])), *(percent(row[key], "-") for key in SHOWN)]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]
    return "\n".join(_aligned(line, widths) for line in (head, *body))


def markdown_steps(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scores of each step as a Markdown table, in percent; rows as `per_step` returns them."""
    return markdown_table(
        ["step", "classes learned", *SHOWN],
        [[str(row["step"]), _names(names_of(row["learned"])), *(percent(row[key]) for key in SHOWN)] for row in rows],
        align="rl" + "r" * len(SHOWN),
    )


def markdown_holdout(rows: Sequence[Mapping[str, Any]]) -> str:
    """The scores on held-out training images as a Markdown table, in percent; rows are `Scores` as dicts."""
    shown = [(row["step"], row["holdout"]) for row in rows if row["holdout"]]
    return markdown_table(
        ["step", "images", *HOLDOUT],
        [[str(step), str(held["images"]), *(percent(held[key]) for key in HOLDOUT)] for step, held in shown],
        align="r" * (2 + len(HOLDOUT)),
    )


def markdown_split_steps(steps: Sequence[Mapping[str, Any]]) -> str:
    """The training images of each step as a Markdown table.

    Args:
        steps: as `ssul.data.splits.summarise` tells them.
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

    A cell is empty before its class is learned, and a dash where its IoU is undefined.
    """
    since = {name: step for step, group in enumerate(learned) for name in group}
    head = ["class", "learned at", *(f"after step {row['step']}" for row in rows)]
    body = [
        [
            markdown(name),
            f"step {since[name]}" if name in since else "",
            *(percent(row["iou"][name]) if name in row["iou"] else "" for row in rows),
        ]
        for name in rows[-1]["iou"]
    ]
    return markdown_table(head, body, align="ll" + "r" * len(rows))


def percent(value: float | None, undefined: str = UNDEFINED) -> str:
    """A share of 0..1 as percent with one decimal, without the sign."""
    return undefined if value is None else f"{100 * value:.1f}"


def summary(names: Sequence[str], *, width: int = 32) -> str:
    """Names in one line of about `width` characters: all of them, or the first ones and how many there are."""
    line = ", ".join(names)
    if len(line) <= width:
        return line
    tail = f", ... ({len(names)})"
    kept = [name for position, name in enumerate(names) if len(", ".join(names[: position + 1])) + len(tail) <= width]
    return ", ".join(kept or names[:1]) + tail


def markdown(text: str) -> str:
    """Any text as Markdown that shows exactly it, also within a table: nothing in it acts as markup."""
    line = escape(" ".join(text.split()), quote=False)
    return re.sub(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])", lambda found: "\\" + found[0], line)


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]], *, align: str) -> str:
    """A Markdown table.

    Args:
        head, body: cells, as Markdown.
        align: a letter for each column, l or r.
    """
    rule = ["---:" if side == "r" else ":---" for side in align]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *body))


def _scores(row: Mapping[str, Any], *, held_out: bool) -> dict[str, float | None]:
    scores = {key: _rounded(row[key]) for key in SCORES}
    if held_out:
        scores |= {f"holdout_{key}": _rounded(row["holdout"][key]) if row["holdout"] else None for key in HOLDOUT}
    return scores


def _names(names: Sequence[str]) -> str:
    return markdown(summary(names, width=_NAMES_WIDTH))


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
    cells[1] = line[1].ljust(widths[1])
    return "  ".join(cells)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
