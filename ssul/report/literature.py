"""Many runs in groups: one line for each method, one cell for each scenario, over all seeds."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import NamedTuple

from ssul.config.naming import RunName
from ssul.evaluation.scores import harmonic_mean
from ssul.report.tables import UNDEFINED
from ssul.tracking.metrics import BELOW_1_PERCENT

MEANS = ("old", "new", "all")
SCORES = (*MEANS, "hiou")
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
        below_1_percent: how many of the base step's classes have an IoU below 1 % after the last step; None if not
            recorded.
        run: its id in MLflow.
    """

    run_name: RunName
    seed: str
    params: Mapping[str, str]
    scores: Mapping[str, float]
    below_1_percent: int | None = None
    run: str = ""

    @classmethod
    def of(
        cls, tags: Mapping[str, str], params: Mapping[str, str], metrics: Mapping[str, float], run: str = ""
    ) -> "RunResult | None":
        """The result of a run as MLflow holds it; None if a tag of its name is missing."""
        keys = ("scenario", "setting", "method", "model")
        if not set(keys) <= tags.keys():
            return None
        return cls(
            RunName(*(tags[key] for key in keys)),
            params.get("seed", "0"),
            {**params, "data.digest": tags.get("data.digest", "")},
            {name: metrics[f"miou_{name}"] for name in MEANS if f"miou_{name}" in metrics},
            int(metrics[BELOW_1_PERCENT]) if BELOW_1_PERCENT in metrics else None,
            run,
        )


@dataclass(frozen=True)
class Cell:
    """The scores of all seeds of one method in one scenario, in percent.

    Attributes:
        values: for each of SCORES one value a seed; empty if the score is undefined.
        below_1_percent: for each seed, see `RunResult`; empty if not recorded.
        ids: seed -> the run's id in MLflow.
    """

    values: Mapping[str, Sequence[float]]
    below_1_percent: Sequence[int] = ()
    ids: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Old, new, all and hIoU; in brackets how many old classes are below 1 %, because a mean hides them."""
        old, new, everything, hiou = (_spread(self.values[name]) for name in SCORES)
        below = f" ({mean(self.below_1_percent):.3g} below 1 %)" if any(self.below_1_percent) else ""
        return f"{old}{below} / {new} / {everything} / {hiou}"

    @property
    def runs(self) -> int:
        """The number of runs, each with its own seed."""
        return max(len(values) for values in self.values.values())


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        method: its name, with the parameters in which it differs from other lines of its columns.
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

    Of two runs that differ only in the version of the code, the first counts. A line never shares a column unnamed with
    one of another recipe: it names the parameters in which it differs, see `_distinguishing_params`.

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
        kind = _Kind(result.params.get("data.name", ""), run_name.setting, run_name.model, run_name.method)
        line = lines.setdefault(_Line(kind, tuple(sorted(own.items()))), {})
        line.setdefault(run_name.scenario, {}).setdefault(result.seed, result)
    rows = [
        Row(
            f"{line.kind.method}{_distinguishing_params(line, _peers(line, lines))}",
            setting=line.kind.setting,
            model=line.kind.model,
            data_set=line.kind.data_set,
            cells=_cells(cells),
        )
        for line, cells in lines.items()
    ]
    return sorted(rows, key=lambda row: (row.data_set, row.setting, row.model, _mean_all(row), row.method))


class _Kind(NamedTuple):
    """What the columns and the name of a line show anyway."""

    data_set: str
    setting: str
    model: str
    method: str

    @property
    def has_memory(self) -> bool:
        return self.method.partition(" ")[0].endswith("-m")


class _Line(NamedTuple):
    """What the runs of a line share, and the parameters that decide a result."""

    kind: _Kind
    params: tuple[tuple[str, str], ...]


def _is_column(key: str, value: str) -> bool:
    """Whether a parameter is already shown (column, seeds, line name) or cannot change a score."""
    return key in _COLUMN_PARAMS or (key == "scenario.order" and not value.startswith("["))


def _peers(line: _Line, lines: Mapping[_Line, Collection[str]]) -> list[_Line]:
    """The lines of the same dataset with a scenario that this one has too."""
    return [
        other
        for other, scenarios in lines.items()
        if other.kind.data_set == line.kind.data_set and set(scenarios) & set(lines[line])
    ]


def _distinguishing_params(line: _Line, peers: Sequence[_Line]) -> str:
    """The parameters in which a line differs from one of its peers, in brackets; empty if none does."""
    named = [
        f"{key}={value}"
        for key, value in line.params
        if any(_comparable(key, line.kind, peer.kind) and dict(peer.params).get(key) != value for peer in peers)
    ]
    return f" ({', '.join(named)})" if named else ""


def _comparable(key: str, one: _Kind, other: _Kind) -> bool:
    """Whether a difference in a parameter says more than the different names or models of two lines."""
    section = key.partition(".")[0]
    if section == "method":
        return one.method == other.method
    if section == "memory":
        return one.has_memory and other.has_memory
    return section != "model" or one.model == other.model


def _cells(line: Mapping[str, Mapping[str, RunResult]]) -> dict[str, Cell]:
    return {
        scenario: Cell(
            {name: [100 * result.scores[name] for result in seeds.values() if name in result.scores] for name in MEANS}
            | {"hiou": [100 * hiou for result in seeds.values() if (hiou := _hiou(result.scores)) is not None]},
            below_1_percent=[result.below_1_percent for result in seeds.values() if result.below_1_percent is not None],
            ids={seed: result.run for seed, result in seeds.items()},
        )
        for scenario, seeds in line.items()
    }


def _hiou(scores: Mapping[str, float]) -> float | None:
    """Computed here, because runs of older versions did not log it."""
    return harmonic_mean(scores.get("old"), scores.get("new"))


def _mean_all(row: Row) -> float:
    values = [mean(cell.values["all"]) for cell in row.cells.values() if cell.values["all"]]
    return mean(values) if values else 0.0


def _spread(values: Sequence[float]) -> str:
    if not values:
        return UNDEFINED
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
