"""The tables of docs/evidence.md, from the results of its experiments."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.report.evidence import MEANS, Evidence, EvidenceSpec, PairedResult, Result, TableSpec, spread
from ssul.report.markdown import details, markdown, markdown_table, paragraphs
from ssul.report.paired import interval_cells
from ssul.report.tables import UNDEFINED

_END = "<!-- evidence: end -->"


def update_pages(page: Path, readme: Path, spec: EvidenceSpec, evidence: Evidence) -> None:
    """Writes the tables between their markers, `<!-- evidence: NAME -->` and `<!-- evidence: end -->`.

    Args:
        page: docs/evidence.md, which has a table of each name.
        readme: README.md, which has the summary, if there is one.
        spec, evidence: what they are made of.

    Raises:
        UserError: if a file lacks the markers of a table.
    """
    write_text(page, page_with_tables(page.read_text(encoding="utf-8"), spec, evidence, str(page)))
    if spec.summary is not None:
        write_text(readme, readme_with_summary(readme.read_text(encoding="utf-8"), spec, evidence, str(readme)))


def page_with_tables(page: str, spec: EvidenceSpec, evidence: Evidence, where: str) -> str:
    """The page with all tables renewed."""
    for name in spec.tables:
        page = _with_table(page, name, markdown_evidence(name, spec, evidence), where)
    return page


def readme_with_summary(page: str, spec: EvidenceSpec, evidence: Evidence, where: str) -> str:
    """The README with the summary renewed."""
    return _with_table(page, "summary", markdown_summary(spec, evidence), where)


def _with_table(page: str, name: str, table: str, where: str) -> str:
    start = f"<!-- evidence: {name} -->\n"
    before, found, rest = page.partition(start)
    _, end, after = rest.partition(_END)
    if not found or not end:
        raise UserError(f"{where} lacks the marker `{start.strip()}`, or its `{_END}`")
    return f"{before}{start}{table}\n{end}{after}"


def markdown_summary(spec: EvidenceSpec, evidence: Evidence) -> str:
    """The chosen rows with old, new and all of several tables side by side.

    Raises:
        UserError: if docs/evidence.yaml asks for none, or for rows or tables that it does not have.
    """
    asked = spec.summary
    if asked is None:
        raise UserError("docs/evidence.yaml asks for no summary")
    tables = asked.tables.values()
    if unknown := [
        name for name in tables if name not in spec.tables or not {*asked.rows} <= spec.tables[name].rows.keys()
    ]:
        raise UserError(f"the summary's table {unknown[0]} does not exist or lacks a row of {', '.join(asked.rows)}")
    results = [evidence.results.get(name, {}) for name in tables]
    head = ["", *(f"{title}: {mean}" if mean == MEANS[0] else mean for title in asked.tables for mean in MEANS)]
    body = [
        [markdown(row), *(_score(one.get(row, []), mean) for one in results for mean in MEANS)] for row in asked.rows
    ]
    return markdown_table(head, body, align="l" + "r" * (len(head) - 1))


def markdown_evidence(name: str, spec: EvidenceSpec, evidence: Evidence) -> str:
    """The table of results, the table of differences and the commands of one table."""
    differences = _differences(evidence.differences.get(name, []))
    table = spec.tables[name]
    commands = "\n".join(
        " ".join(("dvc exp run", *(f"-S {_quoted(one)}" for one in (*table.common, *own))))
        + f"   # {row}; seeds {', '.join(map(str, table.some_seeds.get(row, table.seeds)))}"
        for row, own in table.rows.items()
    )
    results = _results(table, evidence.results.get(name, {}))
    return paragraphs(f"**{table.title}**", results, differences, details("Commands", f"```bash\n{commands}\n```"))


def _results(table: TableSpec, results: Mapping[str, Sequence[Result]]) -> str:
    joint = [one.scores["all"] for one in results.get(table.joint or "", [])]
    columns = _held_out_columns() if table.held_out else _columns(joint)
    if table.times:
        columns["increments, min"] = lambda found: _minutes([one.increments_seconds for one in found])
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
        "below 1 %": lambda found: ", ".join(_count(one.below_1_percent) for one in found),
        "new": lambda found: _score(found, "new"),
        "all": lambda found: _score(found, "all"),
    }
    if joint:
        columns["of joint"] = lambda found: f"{mean(one.scores['all'] for one in found) / mean(joint):.2f}"
    return columns | {"pixels": lambda found: _score(found, "pixel_accuracy")}


def _held_out_columns() -> dict[str, Cell]:
    return {name: lambda found, name=name: _score(found, f"held_out_{name}") for name in MEANS}  # type: ignore[misc]


def _count(number: int | None) -> str:
    return UNDEFINED if number is None else str(number)


def _minutes(seconds: Sequence[float | None]) -> str:
    known = [one / 60 for one in seconds if one is not None]
    return f"{mean(known):.1f}" if known else UNDEFINED


def _score(found: Sequence[Result], name: str) -> str:
    return spread([one.scores[name] for one in found if name in one.scores])


def _differences(found: Sequence[PairedResult]) -> str:
    if not found:
        return ""
    body = [[markdown(f"{one.second} minus {one.first}"), *interval_cells(one.scores, MEANS)] for one in found]
    return markdown_table(["difference", *MEANS], body, align="lrrr")


def _quoted(override: str) -> str:
    return f"'{override}'" if re.search(r"[\[\],{}\s]", override) else override
