"""Tables of results and differences between the markers of a page."""

from dataclasses import replace
from pathlib import Path

import pytest

from ssul.errors import UserError
from ssul.report.evidence import Evidence
from ssul.report.evidence_page import markdown_evidence, markdown_summary, page_with_tables
from tests.report.evidence_example import EVIDENCE, SPEC, result, spec_of

PAGE = "Text.\n\n" + "".join(
    f"<!-- evidence: {name} -->\nold\n<!-- evidence: end -->\nMore text.\n" for name in ("toys", "more")
)


def test_a_table_has_means_over_seeds_shares_of_joint_dead_classes_runs_and_what_is_missing(tmp_path: Path) -> None:
    table = markdown_evidence("toys", spec_of(tmp_path), EVIDENCE)
    assert "| joint (1) | 60.0 | 50.0 | 0 | \u2013 | 80.0 | 1.00 | 90.0 | `01234567` |" in table
    spreads = "60.0 ± 0.0 | 50.0 ± 0.0 | 1, 0 | 42.0 ± 2.8 | 64.0 ± 5.7 | 0.80 | 90.0 ± 0.0"
    assert f"| SSUL (2) | {spreads} | `01234567` `fedcba98` |" in table
    assert "| MiB (0) |  |  |  |  |  |  |  | not run |" in table
    assert "| SSUL minus MiB | \u2013 | \u2013 | +2.0 [-1.0, +5.0], 1 of 2 above 0 |" in table
    assert "dvc exp run -S data.root=$TOYS -S 'recipe.scale=[0.5,1.0]' -S method=mib   # MiB; seeds 0, 1" in table


def test_a_table_that_choices_are_made_on_shows_held_out_scores(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "tables: {a: {title: A, seeds: [0], held_out: true, rows: {x: []}}}")
    chosen = replace(result(0, 0.7), scores={"all": 0.7, "held_out_old": 0.6, "held_out_all": 0.5})
    table = markdown_evidence("a", spec, Evidence({"a": {"x": [chosen]}}, {}))
    assert "| method (seeds) | old | new | all | runs |" in table
    assert "| x (1) | 60.0 | \u2013 | 50.0 | `01234567` |" in table


def test_a_table_of_times_shows_the_minutes_of_the_increments_where_they_are_known(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "tables: {a: {title: A, seeds: [0, 1, 2], times: true, rows: {x: [], y: []}}}")
    timed = [replace(result(seed, 0.7), increments_seconds=seconds) for seed, seconds in enumerate((90.0, 60.0, None))]
    table = markdown_evidence("a", spec, Evidence({"a": {"x": timed, "y": [result(0, 0.7)]}}, {}))
    assert "| pixels | increments, min | runs |" in table
    assert [line.split(" | ")[-2] for line in table.splitlines() if "0123" in line] == ["1.2", "\u2013"]


def test_tables_are_renewed_between_their_markers_and_the_text_stays(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    once = page_with_tables(PAGE, spec, EVIDENCE, "page")
    assert once.startswith("Text.\n\n<!-- evidence: toys -->\n**Toys, after the last step**")
    assert once.count("More text.") == 2
    assert "\nold\n" not in once
    assert page_with_tables(once, spec, EVIDENCE, "page") == once


def test_a_page_without_the_markers_of_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="page lacks the marker `<!-- evidence: more -->`"):
        page_with_tables(PAGE.replace("evidence: more", "evidence: none"), spec_of(tmp_path), EVIDENCE, "page")


SUMMARY = "summary: {rows: [SSUL, MiB], tables: {toys of two steps: toys, others: more}}"


def test_the_summary_puts_the_means_of_several_tables_side_by_side(tmp_path: Path) -> None:
    lines = markdown_summary(spec_of(tmp_path, SPEC + SUMMARY), EVIDENCE).splitlines()
    assert lines[0] == "|  | toys of two steps: old | new | all | others: old | new | all |"
    assert lines[2] == "| SSUL | 50.0 ± 0.0 | 42.0 ± 2.8 | 64.0 ± 5.7 | 50.0 | \u2013 | 50.0 |"
    assert lines[3] == "| MiB | \u2013 | \u2013 | \u2013 | 50.0 | \u2013 | 40.0 |"


@pytest.mark.parametrize("wrong", ["{rows: [SSUL], tables: {x: none}}", "{rows: [joint], tables: {x: more}}"])
def test_a_summary_of_what_no_table_has_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(UserError, match="the summary's table"):
        markdown_summary(spec_of(tmp_path, f"{SPEC}summary: {wrong}"), EVIDENCE)
