"""The evidence is what its files say: each experiment can be run, and the page shows the results of the JSON file."""

import pytest

from ssul.config.load import parse_params
from ssul.config.paths import Layout
from ssul.report.evidence import Evidence, planned, read_spec
from ssul.report.evidence_page import page_with_tables, readme_with_summary
from tests.project import PROJECT, composed

LAYOUT = Layout(PROJECT)
SPEC = read_spec(LAYOUT.evidence_spec)


@pytest.mark.parametrize("table", SPEC.tables)
def test_every_experiment_of_a_table_composes_and_validates(table: str) -> None:
    seen = set()
    for one in planned(SPEC):
        overrides = one.overrides[:-1]  # without the seed
        if one.table == table and overrides not in seen:
            seen.add(overrides)
            parse_params(composed(*(word.replace("$", "/data/") for word in overrides)))


def test_the_tables_of_the_page_are_made_of_the_results_and_nothing_is_typed() -> None:
    page = LAYOUT.evidence_page.read_text(encoding="utf-8")
    assert page_with_tables(page, SPEC, Evidence.read(LAYOUT.evidence), "docs/evidence.md") == page


def test_the_table_of_the_readme_is_made_of_the_same_results() -> None:
    page = LAYOUT.readme.read_text(encoding="utf-8")
    assert readme_with_summary(page, SPEC, Evidence.read(LAYOUT.evidence), "README.md") == page
