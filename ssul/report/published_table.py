"""The papers' numbers as a table, with the protocol and the source of each."""

from collections.abc import Collection, Sequence

from ssul.report.markdown import markdown, markdown_table, paragraphs
from ssul.report.published_results import PublishedScores, published_protocols, published_rows
from ssul.report.tables import UNDEFINED


def markdown_published(scenarios: Sequence[str], settings: Collection[str]) -> str:
    """The table as Markdown; empty if nothing is published.

    Args:
        scenarios: the columns; those without a published number are left out.
        settings: which rows.
    """
    found = published_rows(scenarios, settings)
    if not found:
        return ""
    shown = [name for name in scenarios if any(name in row.scores for row in found)]
    body = [
        [
            markdown(row.method),
            row.setting,
            *(_published_cell(row.scores[name]) if name in row.scores else "" for name in shown),
            row.protocol or "not known",
            markdown(row.source),
        ]
        for row in found
    ]
    protocols = {name: one for name, one in published_protocols().items() if any(row.protocol == name for row in found)}
    return paragraphs(
        "**Published** (DeepLabV3 over ResNet-101; old / new / all / hIoU, or all alone where no more is printed). "
        "Compare numbers of the same protocol alone, also with ours: docs/protocols.md has the settings of each.",
        markdown_table(
            ["method", "setting", *map(markdown, shown), "protocol", "read in"],
            body,
            align="ll" + "r" * len(shown) + "ll",
        ),
        "\n".join(
            f"- {name}: {one.images}; {one.size}; {one.future}; weights: {one.weights}."
            for name, one in protocols.items()
        ),
    )


def _published_cell(scores: PublishedScores) -> str:
    values = (scores.old, scores.new, scores.all, scores.hiou)
    if values == (None, None, scores.all, None):
        return f"{scores.all:.1f}"
    return " / ".join(UNDEFINED if value is None else f"{value:.1f}" for value in values)
