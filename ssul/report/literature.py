"""The table of many runs, as papers print it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from ssul.config.naming import RunName
from ssul.report.markdown import markdown, markdown_table
from ssul.report.published_results import Published, published
from ssul.report.style import GREY, INK, PALE, annotate, new_figure
from ssul.report.tables import UNDEFINED

SCORES = ("old", "new", "all")
_COLUMN_PARAMS = (
    *("seed", "data.name", "scenario.name", "scenario.base_classes", "scenario.increment", "scenario.last"),
    "evaluation.examples",
)
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b7280"]  # Okabe and Ito's


@dataclass(frozen=True)
class RunResult:
    """One finished run.

    Attributes:
        run_name: scenario, setting, method and model.
        seed: its seed, as text.
        params: all parameters by dotted names, as text, and other differences between runs: the digest of the data.
        scores: `old`, `new` and `all` after the last step, in 0..1; undefined ones are missing.
    """

    run_name: RunName
    seed: str
    params: Mapping[str, str]
    scores: Mapping[str, float]

    @classmethod
    def of(cls, tags: Mapping[str, str], params: Mapping[str, str], metrics: Mapping[str, float]) -> "RunResult | None":
        """The result of a run as MLflow holds it; None if a tag of its name is missing."""
        keys = ("scenario", "setting", "method", "model")
        if not set(keys) <= tags.keys():
            return None
        return cls(
            RunName(*(tags[key] for key in keys)),
            params.get("seed", "0"),
            {**params, "data.digest": tags.get("data.digest", "")},
            {name: metrics[f"miou_{name}"] for name in SCORES if f"miou_{name}" in metrics},
        )


@dataclass(frozen=True)
class Cell:
    """The scores of all seeds of one method in one scenario, in percent.

    Attributes:
        values: for each of old, new and all one value a seed; empty if the score is undefined.
    """

    values: Mapping[str, Sequence[float]]

    def __str__(self) -> str:
        return " / ".join(_spread(self.values[name]) for name in SCORES)

    @property
    def runs(self) -> int:
        """The number of runs, each with its own seed."""
        return max(len(values) for values in self.values.values())


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        method: its name, with the parameters that distinguish it from other lines of the same method.
        setting, model: as in `RunName`.
        data_set: its name.
        cells: by scenario.
    """

    method: str
    setting: str
    model: str
    data_set: str
    cells: Mapping[str, Cell]

    def paper(self, scenario: str) -> Published | None:
        """The paper's result in a scenario; None without a result to compare."""
        if self.setting != "overlapped" or scenario not in self.cells:
            return None
        return published(scenario, self.method.partition(" (")[0].removesuffix(" as published"))

    def published(self, scenario: str) -> str:
        """The same as text; empty without a result to compare."""
        found = self.paper(scenario)
        if found is None:
            return ""
        return " / ".join(UNDEFINED if value is None else f"{value:.1f}" for value in found)


def collect(results: Iterable[RunResult], *, affects_results: Callable[[str], bool]) -> list[Row]:
    """Groups runs: one line for each dataset, setting, model, method and set of parameters.

    Of two runs that differ only in the version of the code, the first counts.

    Args:
        results: finished runs, the latest first.
        affects_results: whether a parameter, by its name, can change a result.

    Returns:
        Lines ordered by dataset, setting, model and the mean of `all`.
    """
    lines: dict[_Line, dict[str, dict[str, RunResult]]] = {}
    for result in results:
        run_name = result.run_name
        own = {
            key: value for key, value in result.params.items() if affects_results(key) and not _is_column(key, value)
        }
        kind = (result.params.get("data.name", ""), run_name.setting, run_name.model, run_name.method)
        line = lines.setdefault(_Line(kind, tuple(sorted(own.items()))), {})
        line.setdefault(run_name.scenario, {}).setdefault(result.seed, result)
    rows = [
        Row(
            f"{line.kind[3]}{_distinguishing_params(line, [other for other in lines if other.kind == line.kind])}",
            setting=line.kind[1],
            model=line.kind[2],
            data_set=line.kind[0],
            cells=_cells(cells),
        )
        for line, cells in lines.items()
    ]
    return sorted(rows, key=lambda row: (row.data_set, row.setting, row.model, _mean_all(row), row.method))


def markdown_results(rows: Sequence[Row]) -> str:
    """The table as Markdown: old / new / all in percent, and the papers' numbers in a line below each of ours."""
    scenarios = scenarios_of(rows)
    body = []
    for row in rows:
        seeds = sorted({cell.runs for cell in row.cells.values()})
        count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        cells = [str(row.cells[name]) if name in row.cells else "" for name in scenarios]
        body.append([markdown(row.method), row.setting, markdown(row.model), count, *cells])
        papers = [row.published(name) for name in scenarios]
        if any(papers):
            body.append(["*published*", "", "resnet101", "", *(f"*{words}*" if words else "" for words in papers)])
    return markdown_table(
        ["method", "setting", "model", "seeds", *map(markdown, scenarios)], body, align="lllr" + "r" * len(scenarios)
    )


def draw_results(path: Path, rows: Sequence[Row]) -> None:
    """The mean of `all` of every line, one panel a scenario; error bars show one standard deviation over seeds.

    Args:
        path: of the PNG.
        rows: at least one.
    """
    scenarios = scenarios_of(rows)
    with new_figure(path, min(3.2 * len(scenarios) + 2.2, 16.0), 0.34 * len(rows) + 1.1) as figure:
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
                paper = row.paper(scenario)
                if paper is not None:
                    panel.plot([paper.all] * 2, [place - 0.4, place + 0.4], color=GREY, linewidth=1.4, linestyle=":")
            panel.set_xlim(0, 100)
            panel.set_title(scenario, fontsize=9.5, color=GREY, pad=5)
            panel.tick_params(axis="y", length=0)
            panel.grid(axis="x", color=PALE, linewidth=0.4)
        panels[0].set_yticks(places, [_line_name(row, rows) for row in rows])
        panels[0].invert_yaxis()
        figure.supxlabel("mean IoU of all classes after the last step, %; dotted: published", fontsize=9, color=GREY)


def scenarios_of(rows: Sequence[Row]) -> list[str]:
    """The scenarios of all lines, in alphabetical order."""
    return sorted({scenario for row in rows for scenario in row.cells})


class _Line(NamedTuple):
    """What the runs of a line share: (dataset, setting, model, method), and the parameters that decide a result."""

    kind: tuple[str, str, str, str]
    params: tuple[tuple[str, str], ...]


def _is_column(key: str, value: str) -> bool:
    """Whether a parameter is already shown (column, seeds, line name) or cannot change a score."""
    return key in _COLUMN_PARAMS or (key == "scenario.order" and not value.startswith("["))


def _distinguishing_params(line: _Line, peers: Sequence[_Line]) -> str:
    """The parameters in which a line differs from another of the same kind, in brackets; empty if none does."""
    named = [
        f"{key}={value}" for key, value in line.params if any(dict(peer.params).get(key) != value for peer in peers)
    ]
    return f" ({', '.join(named)})" if named else ""


def _cells(line: Mapping[str, Mapping[str, RunResult]]) -> dict[str, Cell]:
    return {
        scenario: Cell(
            {name: [100 * result.scores[name] for result in seeds.values() if name in result.scores] for name in SCORES}
        )
        for scenario, seeds in line.items()
    }


def _mean_all(row: Row) -> float:
    values = [mean(cell.values["all"]) for cell in row.cells.values() if cell.values["all"]]
    return mean(values) if values else 0.0


def _spread(values: Sequence[float]) -> str:
    if not values:
        return UNDEFINED
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def _line_name(row: Row, rows: Sequence[Row]) -> str:
    more = [row.setting] if len({one.setting for one in rows}) > 1 else []
    more += [row.model] if len({one.model for one in rows}) > 1 else []
    return row.method + (f"\n{', '.join(more)}" if more else "")
