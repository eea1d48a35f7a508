"""Pieces of Markdown."""

import re
from collections.abc import Collection, Sequence
from html import escape


def figure(name: str, words: str, figures: Collection[str]) -> str:
    """A figure with its description; empty if it is not among the existing figures."""
    return f"![{words}](figures/{name})" if name in figures else ""


def details(title: str, content: str) -> str:
    """A section that the reader unfolds."""
    return f"<details>\n<summary>{title}</summary>\n\n{content}\n\n</details>"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 class`, `2 classes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def paragraphs(*parts: str) -> str:
    """Paragraphs; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def markdown(text: str) -> str:
    """Markdown that shows exactly this text, also within a table: nothing in it acts as markup."""
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
