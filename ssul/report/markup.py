"""Pieces of Markdown that the page is put together from."""

from collections.abc import Collection


def figure(name: str, words: str, figures: Collection[str]) -> str:
    """A figure with its description; nothing where it is not among the figures that are there."""
    return f"![{words}](figures/{name})" if name in figures else ""


def folded(title: str, content: str) -> str:
    """What a reader unfolds to see."""
    return f"<details>\n<summary>{title}</summary>\n\n{content}\n\n</details>"


def count(number: int, one: str, many: str = "") -> str:
    """A number of things: `1 class`, `2 classes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def paragraphs(*parts: str) -> str:
    """Parts one below the other; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)
