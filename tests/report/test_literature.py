"""Many runs in one table, as papers print it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ssul.config.naming import RunName
from ssul.config.paths import Layout
from ssul.report.literature import RunResult, collect
from ssul.report.literature_page import draw_results, line_name, markdown_results, published_means, write_results


def result(
    method: str,
    scenario: str = "voc_15-1",
    *,
    setting: str = "overlapped",
    seed: int = 0,
    all_: float = 0.5,
    new: float | None = 0.2,
    **params: str,
) -> RunResult:
    scores = {"old": 0.6, "all": all_} | ({} if new is None else {"new": new})
    given = {"recipe.crop": "513", "seed": str(seed), "data.root": "/somewhere"} | params
    return RunResult(RunName(scenario, setting, method, "resnet101"), str(seed), given, scores)


def rows_of(*results: RunResult) -> list[Any]:
    return collect(results, affects_results=lambda name: name != "data.root")


def test_seeds_share_a_cell_with_mean_and_standard_deviation() -> None:
    (row,) = rows_of(*(result("ssul", seed=seed, all_=value) for seed, value in enumerate((0.50, 0.52, 0.54))))
    cell = row.cells["voc_15-1"]
    assert cell.runs == 3
    assert str(cell) == "60.0 ± 0.0 / 20.0 ± 0.0 / 52.0 ± 2.0 / 30.0 ± 0.0"


def test_hiou_is_the_mean_over_seeds_and_not_made_of_means() -> None:
    even, uneven = (
        replace(result("ssul", seed=seed), scores=scores)
        for seed, scores in enumerate(({"old": 0.5, "new": 0.5, "all": 0.5}, {"old": 0.9, "new": 0.1, "all": 0.5}))
    )
    (row,) = rows_of(even, uneven)
    assert row.cells["voc_15-1"].values["hiou"] == pytest.approx([50, 18])


def test_one_seed_has_no_spread_and_an_undefined_score_is_a_dash() -> None:
    (row,) = rows_of(result("finetune", "voc_offline", new=None))
    assert str(row.cells["voc_offline"]) == "60.0 / \u2013 / 50.0 / \u2013"


def test_scenarios_are_columns_and_methods_are_ordered_by_their_mean() -> None:
    rows = rows_of(result("ssul", all_=0.7), result("finetune", all_=0.1), result("ssul", "voc_15-5", all_=0.8))
    assert [row.method for row in rows] == ["finetune", "ssul"]
    assert set(rows[1].cells) == {"voc_15-1", "voc_15-5"}


def test_of_the_same_experiment_with_newer_code_only_the_latest_run_counts() -> None:
    (row,) = rows_of(result("ssul", all_=0.7), result("ssul", all_=0.3))
    assert row.cells["voc_15-1"].values["all"] == [pytest.approx(70)]


def names_of(*results: RunResult) -> list[str]:
    return sorted(row.method for row in rows_of(*results))


def test_a_line_names_the_parameters_in_which_it_differs_from_any_line_of_its_columns() -> None:
    small = {"recipe.crop": "256"}
    assert names_of(result("ssul"), result("ssul", **small)) == ["ssul (recipe.crop=256)", "ssul (recipe.crop=513)"]
    assert names_of(result("ssul"), result("mib", **small)) == ["mib (recipe.crop=256)", "ssul (recipe.crop=513)"]
    assert names_of(result("ssul"), result("mib", "voc_15-5", **small)) == ["mib", "ssul"]  # no column in common


def test_what_a_lines_method_memory_or_backbone_imply_is_not_repeated() -> None:
    assert names_of(
        result("ssul", **{"method.ssul.freeze": "True"}), result("mib", **{"method.mib.void": "ignore"})
    ) == [
        "mib",
        "ssul",
    ]
    memory = {"memory.capacity": "100", "memory.epoch": "images"}
    without = {"memory.capacity": "0", "memory.epoch": "iterations"}
    assert names_of(result("ssul", **without), result("ssul-m", **memory)) == ["ssul", "ssul-m"]
    assert names_of(
        result("ssul-m", **memory), result("ssul-m as published", **memory | {"memory.epoch": "iterations"})
    ) == [
        "ssul-m (memory.epoch=images)",
        "ssul-m as published (memory.epoch=iterations)",
    ]


def test_old_classes_below_one_percent_stand_beside_old() -> None:
    results = [replace(result("finetune", seed=seed), below_1_percent=15 + seed) for seed in (0, 1)]
    (row,) = rows_of(*results)
    assert str(row.cells["voc_15-1"]).startswith("60.0 ± 0.0 (15.5 below 1 %) / 20.0")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.holdout", "0.1"),
        ("data.digest", "another"),
        ("data.shapes.seed", "1"),
        ("scenario.order", "[2,1]"),
        ("evaluation.future", "background"),
    ],
)
def test_seeds_of_other_data_or_another_order_are_not_averaged(name: str, value: str) -> None:
    usual = {"data.holdout": "0.0", "data.digest": "one", "data.shapes.seed": "0", "evaluation.future": "ignore"}
    rows = rows_of(result("ssul", seed=0, **usual), result("ssul", seed=1, **usual | {name: value}))
    assert [row.cells["voc_15-1"].runs for row in rows] == [1, 1]
    assert any(f"{name}={value}" in row.method for row in rows)


@pytest.mark.parametrize("other", [{"evaluation.examples": "4"}, {"data.root": "/elsewhere"}], ids=str)
def test_seeds_whose_other_parameters_change_no_score_are_averaged(other: dict[str, str]) -> None:
    (row,) = rows_of(result("ssul", seed=0), result("ssul", seed=1, **other))
    assert row.cells["voc_15-1"].runs == 2


def test_two_datasets_have_their_own_lines_without_each_others_parameters() -> None:
    ade = {"data.name": "ade", "recipe.crop": "512"}
    rows = rows_of(result("ssul", **{"data.name": "voc"}), result("ssul", "ade_100-50", **ade))
    assert [(row.data_set, row.method) for row in rows] == [("ade", "ssul"), ("voc", "ssul")]
    lines = markdown_results(rows).splitlines()
    assert [line.count("/") for line in lines[2:]] == [3, 3]


def test_the_published_numbers_of_our_scenarios_and_settings_are_below_ours(tmp_path: Path) -> None:
    text = write_results(Layout(tmp_path), rows_of(result("ssul-m"), result("finetune", "shapes_6-2")))
    ours, _, papers = text.partition("**Published**")
    assert "| ssul-m | overlapped |" in ours
    assert "| SSUL-M | overlapped | 78.4 / 49.0 / 71.4 / \u2013 |" in papers
    assert "disjoint" not in papers
    assert "Published" not in write_results(Layout(tmp_path), rows_of(result("finetune", "shapes_6-2")))


def test_the_figure_marks_every_published_number_of_a_lines_method_in_its_setting() -> None:
    (mib,) = rows_of(result("mib"))
    assert sorted(published_means(mib, "voc_15-1")) == [29.29, 29.70, 32.2, 38.2]
    (memory,) = rows_of(result("ssul-m as published"))
    assert published_means(memory, "voc_15-1") == [71.37]
    (disjoint,) = rows_of(result("ssul", setting="disjoint"))
    assert published_means(disjoint, "voc_15-1") == []


def test_the_figure_is_drawn_for_one_run_and_for_many(tmp_path: Path) -> None:
    many = [result(f"method {number}", f"voc_{number}-1", all_=0.1 * number) for number in range(1, 7)]
    for name, results in (("one.png", many[:1]), ("many.png", many)):
        draw_results(tmp_path / name, rows_of(*results))
    with Image.open(tmp_path / "one.png") as small, Image.open(tmp_path / "many.png") as large:
        assert small.width < large.width
        assert small.height < large.height


def test_a_long_name_stands_on_several_lines_of_the_figure_and_loses_nothing() -> None:
    long = "ssul-m as published (memory.epoch=iterations, recipe.increment.epochs=6, recipe.increment.lr=0.01)"
    (row,) = rows_of(result(long))
    lines = line_name(row, [row]).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 52
    assert " ".join(lines) == long
