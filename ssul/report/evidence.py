"""The experiments behind docs/evidence.md, their results, and its tables.

docs/evidence.yaml    which experiments: tables of rows, each a list of overrides, run with each seed
docs/evidence.json    their results as read from MLflow, each with its run; written by `ssul evidence tables`
docs/evidence.md      text, with a table from the JSON file between the markers of each
README.md             the rows that matter most, between markers too
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from ssul.config.base import StrictModel
from ssul.errors import UserError
from ssul.io.atomic import write_json
from ssul.io.strict_json import read_json
from ssul.report.paired import Difference
from ssul.report.tables import UNDEFINED

MEANS = ("old", "new", "all")


def _flat(overrides: Any) -> Any:
    """Overrides without lists within lists, in their order; anything else as it is, for the schema to refuse."""
    if not isinstance(overrides, list):
        return overrides
    return [word for one in overrides for word in (_flat(one) if isinstance(one, list) else [one])]


Overrides = Annotated[list[str], BeforeValidator(_flat)]


class TableSpec(StrictModel):
    """A table of experiments.

    title: stands above it. common: overrides of every row. seeds: of every row. rows: a name -> its own overrides, as
    `dvc exp run -S` takes them; `$NAME` in them is a variable of the environment, and a list within a list stands for
    what it holds. some_seeds: rows with other seeds.
    held_out: whether it shows scores on held-out training images, because choices are made on it. joint: the row that
    others are a share of. times: whether it shows how long the increments trained. differences: pairs of rows, (first,
    second).
    """

    title: str
    common: Overrides = Field(default_factory=list)
    seeds: list[int]
    rows: dict[str, Overrides]
    some_seeds: dict[str, list[int]] = Field(default_factory=dict)
    held_out: bool = False
    joint: str | None = None
    times: bool = False
    differences: list[tuple[str, str]] = Field(default_factory=list)


class SummarySpec(StrictModel):
    """The table of the README. rows: of the tables. tables: the title of a group of columns -> its table."""

    rows: list[str]
    tables: dict[str, str]


class EvidenceSpec(StrictModel):
    """The content of docs/evidence.yaml. shared: overrides of several rows, which take them by YAML's anchors."""

    tables: dict[str, TableSpec]
    summary: SummarySpec | None = None
    shared: dict[str, str | Overrides] = Field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """An experiment of the file.

    Attributes:
        table, row: where it stands.
        seed: its seed.
        overrides: all of them, the seed included; variables of the environment are not replaced yet.
    """

    table: str
    row: str
    seed: int
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in DVC: letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.table} {self.row} seed {self.seed}".lower())


@dataclass(frozen=True)
class Result:
    """What an experiment gave.

    Attributes:
        seed: its seed.
        overrides: that it was run with.
        method: as in `RunName`.
        setup: see `setup_of`.
        run: its id in MLflow.
        commit: the git commit of its code.
        hardware: what computed it.
        base: `all` after the base step, 0..1.
        scores: after the last step, in 0..1: old, new, all, pixel_accuracy, and with held-out images held_out_old,
            held_out_new, held_out_all; undefined ones are missing.
        below_1_percent: how many of the base step's classes, background included, have an IoU below 1 % after the last
            step; None if the run's version did not count them.
        increments_seconds: wall time of the increments' iterations, fixed views included; None if that is not known of
            all of them.
    """

    seed: int
    overrides: tuple[str, ...]
    method: str
    setup: str
    run: str
    commit: str
    hardware: str
    base: float
    scores: dict[str, float]
    below_1_percent: int | None
    increments_seconds: float | None = None


@dataclass(frozen=True)
class PairedResult:
    """The difference between two rows: how much higher the second scores, in points of mean IoU (0..1).

    Attributes:
        first, second: the rows.
        scores: of old, new and all.
    """

    first: str
    second: str
    scores: dict[str, Difference]


@dataclass(frozen=True)
class Evidence:
    """The content of docs/evidence.json.

    Attributes:
        results: table -> row -> the results of its seeds.
        differences: table -> differences.
    """

    results: dict[str, dict[str, list[Result]]]
    differences: dict[str, list[PairedResult]]

    @classmethod
    def read(cls, path: Path) -> "Evidence":
        """Reads it; empty if there is no file.

        Raises:
            UserError: if it is damaged.
        """
        if not path.exists():
            return cls({}, {})
        return read_json(path, cls, what="the evidence", way_out=f"restore it with `git checkout {path}`")

    def write(self, path: Path) -> None:
        """Writes it."""
        write_json(path, asdict(self))


def comparison(evidence: Evidence, setup: str) -> str:
    """A line with what fine-tuning scores in a setup; empty if the evidence does not have it.

    Args:
        evidence: with results of fine-tuning.
        setup: see `setup_of`.
    """
    rows = (row for table in evidence.results.values() for row in table.values())
    for row in rows:
        found = [one for one in row if (one.method, one.setup) == ("finetune", setup)]
        if found:
            means = ", ".join(f"{name} {spread([one.scores[name] for one in found])}" for name in MEANS)
            return f"for comparison, fine-tuning: {means} (seeds: {len(found)}; docs/evidence.md)"
    return ""


def read_spec(path: Path) -> EvidenceSpec:
    """Reads docs/evidence.yaml.

    Raises:
        UserError: if it cannot be read, or names a row that it does not have.
    """
    try:
        spec = EvidenceSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from None
    for name, table in spec.tables.items():
        unknown = {row for pair in table.differences for row in pair} - table.rows.keys()
        if unknown:
            raise UserError(f"{path}: {name} compares {min(unknown)}, which is not a row of it")
    return spec


def planned(spec: EvidenceSpec) -> Iterator[Planned]:
    """All experiments, row by row, because the first row of a table often trains the base step of the others."""
    for name, table in spec.tables.items():
        for row, overrides in table.rows.items():
            for seed in table.some_seeds.get(row, table.seeds):
                yield Planned(name, row, seed, (*table.common, *overrides, f"seed={seed}"))


def pairs_to_compare(
    spec: EvidenceSpec, evidence: Evidence
) -> Iterator[tuple[str, str, str, list[tuple[Result, Result]]]]:
    """Name of the table, first and second row, and the results of each seed that both rows have."""
    for name, table in spec.tables.items():
        rows = evidence.results.get(name, {})
        for first, second in table.differences:
            others = {result.seed: result for result in rows.get(second, [])}
            found = [(one, others[one.seed]) for one in rows.get(first, []) if one.seed in others]
            if found:
                yield name, first, second, found


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in percent."""
    if not values:
        return UNDEFINED
    return f"{100 * mean(values):.1f}" + (f" ± {100 * stdev(values):.1f}" if len(values) > 1 else "")
