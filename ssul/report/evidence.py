"""The experiments behind docs/evidence.md, their results, and its tables.

docs/evidence.yaml    which experiments: tables of rows, each a list of overrides, run with each seed
docs/evidence.json    their results as read from MLflow, each with its run; written by `ssul evidence tables`
docs/evidence.md      text, with a table from the JSON file between the markers of each
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import yaml
from pydantic import Field, ValidationError

from ssul.config.base import StrictModel
from ssul.errors import UserError
from ssul.io.atomic import write_json, write_text
from ssul.io.strict_json import read_json
from ssul.report.markdown import details, markdown, markdown_table, paragraphs
from ssul.report.paired import Difference, interval_cells
from ssul.report.tables import UNDEFINED
from ssul.tracking.experiment import Scalar, affects_results

MEANS = ("old", "new", "all")
_END = "<!-- evidence: end -->"


class TableSpec(StrictModel):
    """A table of experiments.

    title: stands above it. common: overrides of every row. seeds: of every row. rows: a name -> its own overrides, as
    `dvc exp run -S` takes them; `$NAME` in them is a variable of the environment. some_seeds: rows with other seeds.
    held_out: whether it shows scores on held-out training images, because choices are made on it. joint: the row that
    others are a share of. differences: pairs of rows, (first, second).
    """

    title: str
    common: list[str] = Field(default_factory=list)
    seeds: list[int]
    rows: dict[str, list[str]]
    some_seeds: dict[str, list[int]] = Field(default_factory=dict)
    held_out: bool = False
    joint: str | None = None
    differences: list[tuple[str, str]] = Field(default_factory=list)


class PooledSpec(StrictModel):
    """Differences between rows that several tables have, with the pairs of all of them together."""

    title: str
    tables: list[str]
    differences: list[tuple[str, str]]


class EvidenceSpec(StrictModel):
    """The content of docs/evidence.yaml."""

    tables: dict[str, TableSpec]
    pooled: dict[str, PooledSpec] = Field(default_factory=dict)


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
        dead: how many of the base step's classes, background included, have an IoU below 1 % after the last step;
            None if the run's version did not count them.
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
    dead: int | None


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
        differences: table, or name of pooled tables -> differences.
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


def setup_of(params: Mapping[str, Scalar]) -> str:
    """Sixteen hexadecimal digits: equal for experiments that differ in the method, its memory and the seed alone.

    The increments' part of the recipe belongs to the method.

    Args:
        params: all parameters by dotted names.
    """
    own = ("method.", "memory.", "recipe.increment.", "evaluation.examples", "seed")
    shared = {name: value for name, value in params.items() if affects_results(name) and not name.startswith(own)}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:16]


def comparison(evidence: Evidence, params: Mapping[str, Scalar]) -> str:
    """A line with what fine-tuning scores in the setup of an experiment; empty if the evidence does not have it.

    Args:
        evidence: with results of fine-tuning.
        params: all parameters of the experiment by dotted names.
    """
    setup = setup_of(params)
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
    for name, pairs, tables in _comparisons(spec):
        for table in tables:
            unknown = {row for pair in pairs for row in pair} - spec.tables[table].rows.keys()
            if unknown:
                raise UserError(f"{path}: {name} compares {min(unknown)}, which is not a row of {table}")
    return spec


def planned(spec: EvidenceSpec) -> Iterator[Planned]:
    """All experiments, row by row, because the first row of a table often trains the base step of the others."""
    for name, table in spec.tables.items():
        for row, overrides in table.rows.items():
            for seed in table.some_seeds.get(row, table.seeds):
                yield Planned(name, row, seed, (*table.common, *overrides, f"seed={seed}"))


def _comparisons(spec: EvidenceSpec) -> Iterator[tuple[str, list[tuple[str, str]], list[str]]]:
    """Name, pairs of rows and tables of each comparison."""
    for name, table in spec.tables.items():
        yield name, table.differences, [name]
    for name, pooled in spec.pooled.items():
        yield name, pooled.differences, pooled.tables


def pairs_to_compare(
    spec: EvidenceSpec, evidence: Evidence
) -> Iterator[tuple[str, str, str, list[tuple[Result, Result]]]]:
    """Name of the comparison, first and second row, and the results of each seed that both rows have."""
    for name, pairs, tables in _comparisons(spec):
        for first, second in pairs:
            found = []
            for table in tables:
                rows = evidence.results.get(table, {})
                others = {result.seed: result for result in rows.get(second, [])}
                found += [(one, others[one.seed]) for one in rows.get(first, []) if one.seed in others]
            if found:
                yield name, first, second, found


# --- Markdown --------------------------------------------------------------------------------------------------------


def update_page(path: Path, spec: EvidenceSpec, evidence: Evidence) -> None:
    """Writes the tables into docs/evidence.md, between `<!-- evidence: NAME -->` and `<!-- evidence: end -->`.

    Raises:
        UserError: if the page lacks the markers of a table.
    """
    write_text(path, page_with_tables(path.read_text(encoding="utf-8"), spec, evidence, str(path)))


def page_with_tables(page: str, spec: EvidenceSpec, evidence: Evidence, where: str) -> str:
    """The page with all tables renewed."""
    for name in (*spec.tables, *spec.pooled):
        start = f"<!-- evidence: {name} -->\n"
        before, found, rest = page.partition(start)
        _, end, after = rest.partition(_END)
        if not found or not end:
            raise UserError(f"{where} lacks the marker `{start.strip()}`, or its `{_END}`")
        page = f"{before}{start}{markdown_evidence(name, spec, evidence)}\n{end}{after}"
    return page


def markdown_evidence(name: str, spec: EvidenceSpec, evidence: Evidence) -> str:
    """The table of results, the table of differences and the commands of one table, or of pooled tables."""
    differences = _differences(evidence.differences.get(name, []))
    if name in spec.pooled:
        return paragraphs(f"**{spec.pooled[name].title}**", differences)
    table = spec.tables[name]
    commands = "\n".join(
        f"dvc exp run {' '.join(f'-S {_quoted(one)}' for one in (*table.common, *own))}"
        + f"   # {row}; seeds {', '.join(map(str, table.some_seeds.get(row, table.seeds)))}"
        for row, own in table.rows.items()
    )
    results = _results(table, evidence.results.get(name, {}))
    return paragraphs(f"**{table.title}**", results, differences, details("Commands", f"```bash\n{commands}\n```"))


def _results(table: TableSpec, results: Mapping[str, Sequence[Result]]) -> str:
    joint = [one.scores["all"] for one in results.get(table.joint or "", [])]
    columns = _held_out_columns() if table.held_out else _columns(joint)
    body = []
    for row in table.rows:
        found = results.get(row, [])
        cells = [cell(found) if found else "" for cell in columns.values()]
        runs = " ".join(f"`{one.run[:8]}`" for one in found) or "not run"
        body.append([f"{markdown(row)} ({len(found)})", *cells, runs])
    return markdown_table(["method (seeds)", *columns, "runs"], body, align="l" + "r" * len(columns) + "l")


Cell = Callable[[Sequence[Result]], str]


def _columns(joint: Sequence[float]) -> dict[str, Cell]:
    """The cells of a row from its results, by the heads of the columns."""
    columns: dict[str, Cell] = {
        "base": lambda found: spread([one.base for one in found]),
        "old": lambda found: _score(found, "old"),
        "below 1 %": lambda found: ", ".join(UNDEFINED if one.dead is None else str(one.dead) for one in found),
        "new": lambda found: _score(found, "new"),
        "all": lambda found: _score(found, "all"),
    }
    if joint:
        columns["of joint"] = lambda found: f"{mean(one.scores['all'] for one in found) / mean(joint):.2f}"
    return columns | {"pixels": lambda found: _score(found, "pixel_accuracy")}


def _held_out_columns() -> dict[str, Cell]:
    return {name: lambda found, name=name: _score(found, f"held_out_{name}") for name in MEANS}  # type: ignore[misc]


def _score(found: Sequence[Result], name: str) -> str:
    return spread([one.scores[name] for one in found if name in one.scores])


def _differences(found: Sequence[PairedResult]) -> str:
    if not found:
        return ""
    body = [[markdown(f"{one.second} minus {one.first}"), *interval_cells(one.scores)] for one in found]
    return markdown_table(["difference", *MEANS], body, align="lrrr")


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in percent."""
    if not values:
        return UNDEFINED
    return f"{100 * mean(values):.1f}" + (f" ± {100 * stdev(values):.1f}" if len(values) > 1 else "")


def _quoted(override: str) -> str:
    return f"'{override}'" if re.search(r"[\[\],{}\s]", override) else override
