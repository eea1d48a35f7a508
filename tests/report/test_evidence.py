"""The evidence file plans experiments, and their results come back as they were written."""

from dataclasses import replace
from pathlib import Path

import pytest

from ssul.errors import UserError
from ssul.report.evidence import Evidence, Planned, comparison, pairs_to_compare, planned
from ssul.report.reported_run import setup_of
from tests.report.evidence_example import EVIDENCE, result, spec_of


def test_experiments_come_row_by_row_with_their_overrides_seed_and_a_name_of_their_own(tmp_path: Path) -> None:
    found = list(planned(spec_of(tmp_path)))
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
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        spec_of(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_pairs_are_of_the_seeds_that_both_rows_have(tmp_path: Path) -> None:
    compared = {name: pairs for name, _, _, pairs in pairs_to_compare(spec_of(tmp_path), EVIDENCE)}
    assert compared.keys() == {"more"}
    (pair,) = compared["more"]
    assert [one.scores["all"] for one in pair] == [0.4, 0.5]


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
    assert comparison(evidence, setup_of(ours)) == line
    assert comparison(evidence, setup_of(other)) == ""
