"""Many runs in groups: one line for each method, one cell for each scenario, over all seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import NamedTuple

from ssul.config.naming import RunName
from ssul.report.tables import UNDEFINED

SCORES = ("old", "new", "all")
_COLUMN_PARAMS = (
    *("seed", "data.name", "scenario.name", "scenario.base_classes", "scenario.increment", "scenario.last"),
    "evaluation.examples",
)


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
