"""The papers' numbers: consistent in themselves, each with its source and protocol, and readable as a table."""

from itertools import groupby

import pytest
import yaml

from ssul.evaluation.scores import harmonic_mean
from ssul.report.published_results import PublishedRow, published_protocols, published_rows
from ssul.report.published_table import markdown_published
from ssul.scenario.scenario import SETTINGS
from tests.project import PROJECT

SCENARIOS = sorted(path.stem for path in (PROJECT / "conf" / "scenario").glob("*_*-*.yaml"))
ROWS = published_rows(SCENARIOS, SETTINGS)


def of(method: str, scenario: str, setting: str = "overlapped") -> list[PublishedRow]:
    return [row for row in published_rows([scenario], [setting]) if row.method == method]


def test_rows_are_of_the_asked_scenarios_and_settings_and_those_of_a_method_follow_each_other() -> None:
    rows = published_rows(["voc_15-1"], ["disjoint"])
    assert {row.setting for row in rows} == {"disjoint"}
    assert {name for row in rows for name in row.scores} == {"voc_15-1"}
    runs = [method for method, _ in groupby(row.method for row in ROWS)]
    assert len(runs) == len(set(runs))
    assert published_rows(["shapes_6-2"], ["overlapped"]) == []


def test_every_scenario_of_a_row_is_one_of_ours() -> None:
    file = yaml.safe_load((PROJECT / "ssul" / "report" / "published_results.yaml").read_text(encoding="utf-8"))
    named = {name for table in file["tables"] for row in table["rows"].values() for name in row}
    assert named <= set(SCENARIOS)


def test_sources_that_disagree_all_stand() -> None:
    assert {row.scores["voc_10-1"].all for row in of("MiB", "voc_10-1")} >= {12.65, 20.1}
    assert {row.scores["voc_15-1"].all for row in of("MiB", "voc_15-1")} >= {29.29, 32.2}


def test_every_row_has_a_source_and_a_known_protocol_or_none() -> None:
    assert all(row.source for row in ROWS)
    assert {row.protocol for row in ROWS} - {None} == set(published_protocols())


def test_published_old_and_new_agree_with_all_over_the_classes() -> None:
    checked = 0
    for row in ROWS:
        for scenario, scores in row.scores.items():
            if scores.old is not None and scores.new is not None:
                base = 1 + int(scenario.removeprefix("voc_").partition("-")[0])
                assert (base * scores.old + (21 - base) * scores.new) / 21 == pytest.approx(scores.all, abs=0.1)
                checked += 1
    assert checked > 10


@pytest.mark.parametrize(
    ("method", "scenario", "hiou"),
    [
        ("SSUL", "voc_19-1", 42.96),
        ("SSUL", "voc_15-5", 60.96),
        ("SSUL", "voc_15-1", 49.67),
        ("SSUL-M", "voc_15-1", 60.30),
    ],
)
def test_our_hiou_of_ssuls_old_and_new_is_the_one_that_dkd_prints(method: str, scenario: str, hiou: float) -> None:
    """So both are of the same means: the background is among the old classes."""
    (row,) = of(method, scenario)
    assert harmonic_mean(row.scores[scenario].old, row.scores[scenario].new) == pytest.approx(hiou, abs=0.01)


# ---- the table ------------------------------------------------------------------------------------------------------


def test_the_table_has_a_column_for_each_scenario_with_numbers_and_names_source_and_protocol() -> None:
    lines = markdown_published(["shapes_6-2", "voc_10-1", "voc_15-1"], ["overlapped"]).splitlines()
    assert lines[2] == "| method | setting | voc_10-1 | voc_15-1 | protocol | read in |"
    assert "| MiB | overlapped | 20.1 | 32.2 | MiB | RCIL, README |" in lines
    assert (
        "| DFT\\* | overlapped | 44.4 |  | not known | DFT\\*, a plot script of its repository (arXiv 2508.04267) |"
        in lines
    )
    (released,) = (line for line in lines if line.startswith("| DKD |") and "released" in line)
    assert "| \u2013 / \u2013 / 70.5 / 57.5 |" in released
    assert any(line.startswith("- DKD: validation images that show a learned class; ") for line in lines)


def test_only_the_protocols_of_the_shown_rows_are_explained() -> None:
    text = markdown_published(["voc_15-1"], ["disjoint"])
    assert "- MiB: " in text
    assert "- SSUL: " not in text
    assert markdown_published(["shapes_6-2"], ["overlapped"]) == ""
