"""The evidence file plans experiments; their results become tables of a page, and nothing is typed."""

from dataclasses import replace
from pathlib import Path

import pytest

from ssul.errors import UserError
from ssul.report.evidence import (
    Evidence,
    PairedResult,
    Planned,
    Result,
    comparison,
    markdown_evidence,
    page_with_tables,
    pairs_to_compare,
    planned,
    read_spec,
    setup_of,
)
from ssul.report.paired import Difference

SPEC = """
tables:
  toys:
    title: Toys, after the last step
    seeds: [0, 1]
    common: [data.root=$TOYS, "recipe.scale=[0.5,1.0]"]
    rows:
      joint: [scenario=shapes_offline]
      SSUL: []
      MiB: [method=mib]
    some_seeds: {joint: [0]}
    joint: joint
    differences: [[MiB, SSUL]]
  more:
    title: More
    seeds: [0]
    rows: {SSUL: [], MiB: [method=mib]}
pooled:
  both: {title: Both, tables: [toys, more], differences: [[MiB, SSUL]]}
"""
PAGE = "Text.\n\n" + "".join(
    f"<!-- evidence: {name} -->\nold\n<!-- evidence: end -->\nMore text.\n" for name in ("toys", "more", "both")
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.yaml"
    path.write_text(SPEC)
    return path


def result(seed: int, all_: float, *, run: str = "0123456789abcdef", new: float | None = None, dead: int = 0) -> Result:
    scores = {"old": 0.5, "all": all_, "pixel_accuracy": 0.9} | ({} if new is None else {"new": new})
    return Result(seed, (f"seed={seed}",), "ssul", "setup", run, "commit", "CPU, 1 thread", 0.6, scores, dead)


EVIDENCE = Evidence(
    {
        "toys": {
            "joint": [result(0, 0.8)],
            "SSUL": [result(0, 0.60, new=0.40, dead=1), result(1, 0.68, new=0.44, run="fedcba9876543210")],
            "MiB": [],
        },
        "more": {"SSUL": [result(0, 0.5)], "MiB": [result(0, 0.4)]},
    },
    {"toys": [PairedResult("MiB", "SSUL", {"all": Difference(0.02, -0.01, 0.05, (0.05, -0.01))})]},
)


def test_experiments_come_row_by_row_with_their_overrides_seed_and_a_name_of_their_own(path: Path) -> None:
    found = list(planned(read_spec(path)))
    assert found[:3] == [
        Planned("toys", "joint", 0, ("data.root=$TOYS", "recipe.scale=[0.5,1.0]", "scenario=shapes_offline", "seed=0")),
        Planned("toys", "SSUL", 0, ("data.root=$TOYS", "recipe.scale=[0.5,1.0]", "seed=0")),
        Planned("toys", "SSUL", 1, ("data.root=$TOYS", "recipe.scale=[0.5,1.0]", "seed=1")),
    ]
    assert found[0].name == "toys-joint-seed-0"
    assert len({one.name for one in found}) == len(found) == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "tables: {a: {title: A, seeds: [0], rows: {x: []}, differences: [[x, y]]}}",
            "a compares y, which is not a row",
        ),
        ("tables: {a: {title: A, seeds: [0], rows: {x: []}, rate: 1}}", "cannot be read"),
        ("tables: [", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(path: Path, text: str, words: str) -> None:
    path.write_text(text)
    with pytest.raises(UserError, match=words) as refused:
        read_spec(path)
    assert "\n" not in str(refused.value)


def test_a_table_has_means_over_seeds_shares_of_joint_dead_classes_runs_and_what_is_missing(path: Path) -> None:
    table = markdown_evidence("toys", read_spec(path), EVIDENCE)
    assert "| joint (1) | 60.0 | 50.0 | 0 | \u2013 | 80.0 | 1.00 | 90.0 | `01234567` |" in table
    spreads = "60.0 ± 0.0 | 50.0 ± 0.0 | 1, 0 | 42.0 ± 2.8 | 64.0 ± 5.7 | 0.80 | 90.0 ± 0.0"
    assert f"| SSUL (2) | {spreads} | `01234567` `fedcba98` |" in table
    assert "| MiB (0) |  |  |  |  |  |  |  | not run |" in table
    assert "| SSUL minus MiB | \u2013 | \u2013 | +2.0 [-1.0, +5.0], 1 of 2 above 0 |" in table
    assert "dvc exp run -S data.root=$TOYS -S 'recipe.scale=[0.5,1.0]' -S method=mib   # MiB; seeds 0, 1" in table


def test_a_table_that_choices_are_made_on_shows_held_out_scores(path: Path) -> None:
    path.write_text("tables: {a: {title: A, seeds: [0], held_out: true, rows: {x: []}}}")
    chosen = replace(result(0, 0.7), scores={"all": 0.7, "held_out_old": 0.6, "held_out_all": 0.5})
    table = markdown_evidence("a", read_spec(path), Evidence({"a": {"x": [chosen]}}, {}))
    assert "| method (seeds) | old | new | all | runs |" in table
    assert "| x (1) | 60.0 | \u2013 | 50.0 | `01234567` |" in table


def test_pairs_are_of_the_seeds_that_both_rows_have_and_pooled_tables_share_them(path: Path) -> None:
    compared = {name: pairs for name, _, _, pairs in pairs_to_compare(read_spec(path), EVIDENCE)}
    assert compared.keys() == {"both"}
    (pair,) = compared["both"]
    assert [one.scores["all"] for one in pair] == [0.4, 0.5]


def test_tables_are_renewed_between_their_markers_and_the_text_stays(path: Path) -> None:
    spec = read_spec(path)
    once = page_with_tables(PAGE, spec, EVIDENCE, "page")
    assert once.startswith("Text.\n\n<!-- evidence: toys -->\n**Toys, after the last step**")
    assert once.count("More text.") == 3
    assert "\nold\n" not in once
    assert page_with_tables(once, spec, EVIDENCE, "page") == once


def test_a_page_without_the_markers_of_a_table_is_refused(path: Path) -> None:
    with pytest.raises(UserError, match="page lacks the marker `<!-- evidence: both -->`"):
        page_with_tables(PAGE.replace("both", "none"), read_spec(path), EVIDENCE, "page")


def test_evidence_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    assert Evidence.read(path) == Evidence({}, {})
    EVIDENCE.write(path)
    assert Evidence.read(path) == EVIDENCE


def test_an_experiment_is_compared_with_fine_tuning_in_its_setup_whatever_the_method_and_seed() -> None:
    ours = {"data.name": "shapes", "recipe.base.lr": 0.1, "method.name": "ssul", "memory.capacity": 24, "seed": 0}
    theirs = {**ours, "method.name": "finetune", "memory.capacity": 0, "seed": 3, "recipe.increment.lr": 0.2}
    other = {**ours, "recipe.base.lr": 0.2}
    rows = [replace(result(seed, 0.2, new=0.3), method="finetune", setup=setup_of(theirs)) for seed in (0, 1)]
    evidence = Evidence({"toys": {"SSUL": [result(0, 0.6)], "fine-tuning": rows}}, {})
    line = "for comparison, fine-tuning: old 50.0 ± 0.0, new 30.0 ± 0.0, all 20.0 ± 0.0 (seeds: 2; docs/evidence.md)"
    assert comparison(evidence, ours) == line
    assert comparison(evidence, other) == ""
