"""The table of many runs, as papers print it, and its figure."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from textwrap import wrap

from ssul.config.paths import Layout
from ssul.io.atomic import write_text
from ssul.report.literature import Row
from ssul.report.markdown import markdown, markdown_table, paragraphs
from ssul.report.paired import COMPARED, RowDifference, interval_cells
from ssul.report.published_results import published_rows
from ssul.report.published_table import markdown_published
from ssul.report.rows import heading
from ssul.report.style import GREY, INK, PALE, annotate, new_figure

_NAME_WIDTH = 52
"""Characters on a line of a name in the figure."""
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b7280"]  # Okabe and Ito's


def write_results(layout: Layout, rows: Sequence[Row], differences: Sequence[RowDifference] = ()) -> str:
    """Writes reports/results.md and results.png, and returns the table as Markdown.

    Args:
        layout: gives the paths of both.
        rows: at least one.
        differences: between lines.
    """
    draw_results(layout.results_figure, rows)
    table = paragraphs(
        markdown_results(rows),
        markdown_row_differences(differences),
        markdown_published(scenarios_of(rows), {row.setting for row in rows}),
    )
    runs = sum(cell.runs for row in rows for cell in row.cells.values())
    caption = (
        "Mean IoU in percent after the last step, old / new / all / hIoU; mean ± standard deviation over seeds, "
        f"from {runs} runs in MLflow."
    )
    figure = f"![mean IoU of all classes]({layout.results_figure.name})"
    write_text(layout.results, f"# Results\n\n{caption}\n\n{table}\n\n{figure}\n")
    return table


def markdown_results(rows: Sequence[Row]) -> str:
    """The table as Markdown, in percent: old / new / all / hIoU."""
    scenarios = scenarios_of(rows)
    body = []
    for row in rows:
        seeds = sorted({cell.runs for cell in row.cells.values()})
        count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        cells = [str(row.cells[name]) if name in row.cells else "" for name in scenarios]
        body.append([markdown(row.method), row.setting, markdown(row.model), count, *cells])
    return markdown_table(
        ["method", "setting", "model", "seeds", *map(markdown, scenarios)], body, align="lllr" + "r" * len(scenarios)
    )


def markdown_row_differences(differences: Sequence[RowDifference]) -> str:
    """The differences as Markdown, in points, with their 95 % intervals over images; empty if there are none."""
    if not differences:
        return ""
    body = [
        [one.scenario, markdown(f"{one.second} minus {one.first}"), *interval_cells(one.scores, COMPARED)]
        for one in differences
    ]
    head = ["scenario", "difference", *map(heading, COMPARED)]
    return markdown_table(head, body, align="ll" + "r" * len(COMPARED))


def draw_results(path: Path, rows: Sequence[Row]) -> None:
    """The mean of `all` of every line, one panel a scenario; error bars show one standard deviation over seeds.

    Args:
        path: of the PNG.
        rows: at least one.
    """
    scenarios, names = scenarios_of(rows), [line_name(row, rows) for row in rows]
    room = max(0.34, 0.16 * (1 + max(name.count("\n") for name in names)) + 0.08)  # of a line, in inches
    height = room * len(rows) + 1.1
    papers_drawn = any(published_means(row, scenario) for row in rows for scenario in scenarios)
    with new_figure(path, min(3.2 * len(scenarios) + 2.2, 16.0), height) as figure:
        panels = figure.subplots(1, len(scenarios), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.12})[0]
        places = list(range(len(rows)))
        for panel, scenario in zip(panels, scenarios, strict=True):
            for place, row in zip(places, rows, strict=True):
                values = row.cells[scenario].values["all"] if scenario in row.cells else []
                if values:
                    spread = stdev(values) if len(values) > 1 else 0.0
                    colour = _COLOURS[place % len(_COLOURS)]
                    panel.barh(place, mean(values), xerr=spread or None, color=colour, height=0.62, ecolor=INK)
                    where = (mean(values) + spread, place)
                    annotate(panel, f"{mean(values):.1f}", where, (4, 0), "data", va="center", fontsize=8.5)
                for paper in published_means(row, scenario):
                    panel.plot([paper] * 2, [place - 0.4, place + 0.4], color=GREY, linewidth=1.4, linestyle=":")
            panel.set_xlim(0, 100)
            panel.set_title(scenario, fontsize=9.5, color=GREY, pad=5)
            panel.tick_params(axis="y", length=0)
            panel.grid(axis="x", color=PALE, linewidth=0.4)
        panels[0].set_yticks(places, names, fontsize=8.5)
        panels[0].invert_yaxis()
        words = "mean IoU of all classes after the last step, %" + ("; dotted: published" if papers_drawn else "")
        figure.supxlabel(words, y=0.11 - 0.44 / height, fontsize=9, color=GREY)


def scenarios_of(rows: Sequence[Row]) -> list[str]:
    """The scenarios of all lines, in alphabetical order."""
    return sorted({scenario for row in rows for scenario in row.cells})


def published_means(row: Row, scenario: str) -> list[float]:
    """All published means over all classes of a line's method in a scenario, in percent."""
    if scenario not in row.cells:
        return []
    method = row.method.partition(" (")[0].removesuffix(" as published")
    papers = published_rows([scenario], [row.setting])
    return [paper.scores[scenario].all for paper in papers if paper.method.lower() == method]


def line_name(row: Row, rows: Sequence[Row]) -> str:
    """The name of a line among others in the figure, on as many lines as it needs beside its bar."""
    more = [row.setting] if len({one.setting for one in rows}) > 1 else []
    more += [row.model] if len({one.model for one in rows}) > 1 else []
    return "\n".join([*wrap(row.method, _NAME_WIDTH, break_on_hyphens=False), *([", ".join(more)] if more else [])])
