"""What a run is called."""

from pathlib import Path

import yaml

from ssul.config.load import parse_params
from ssul.config.naming import SSUL_PARTS, RunName

PROJECT = Path(__file__).parents[2]


def subject(**changes: object) -> RunName:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"setting": "overlapped"}
    for name, value in changes.items():
        section, _, key = name.partition("__")
        params[section][key] = value
    return RunName.of(parse_params(params))


def subject_of(**changes: object) -> str:
    return str(subject(**changes))


SHAPES = {"scenario__base_classes": 6, "scenario__increment": 2, "scenario__last": 2, "scenario__order": "natural"}
SSUL = {
    "method__name": "ssul",
    "method__loss": "bce",
    **{f"method__{part}": True for part in SSUL_PARTS},
    "memory__capacity": 0,
    "model__backbone": "small",
    "data__name": "shapes",
}


def test_a_run_is_called_by_what_it_is() -> None:
    assert subject_of(**SHAPES, **SSUL) == "ssul shapes_6-2 overlapped small"
    assert subject_of(**SHAPES, **SSUL | {"memory__capacity": 24}) == "ssul-m shapes_6-2 overlapped small"


def test_overrides_do_not_hide_behind_a_name() -> None:
    assert subject_of(**SHAPES | {"scenario__increment": 1, "scenario__last": 4}, **SSUL).split()[1] == "shapes_6-1"
    assert subject_of(**SHAPES | {"scenario__order": "b"}, **SSUL).split()[1] == "shapes_6-2_b"
    assert subject_of(**SHAPES, **SSUL | {"method__freeze": False}).startswith("ssul without freeze shapes")
    assert subject_of(**SHAPES, **SSUL | {"method__loss": "ce"}).startswith("ssul without bce shapes")


def test_a_memory_that_nothing_rehearses_is_not_in_the_name() -> None:
    offline = {"scenario__base_classes": 10, "scenario__last": 0, "scenario__steps": {}}
    assert subject_of(**SHAPES | offline, **SSUL | {"memory__capacity": 24}) == "ssul shapes_offline overlapped small"


def test_the_faults_of_the_published_code_are_in_the_name() -> None:
    every = {"memory_labels": True, "memory_annotation": True, "padding": True}
    published = SSUL | {"memory__capacity": 24, "method__published_bugs": every, "method__selection": "published"}
    assert subject_of(**SHAPES, **published).startswith("ssul-m as published shapes")
    without = subject_of(**SHAPES, **published | {"method__selection": "last"})
    assert without.startswith("ssul-m with faults memory_labels, memory_annotation, padding shapes")
    one = subject_of(**SHAPES, **SSUL | {"method__published_bugs": every | {"memory_labels": False, "padding": False}})
    assert one.startswith("ssul with faults memory_annotation shapes")


def test_a_list_of_runs_shows_the_name_in_words_and_a_seed_that_is_not_0() -> None:
    made = RunName("voc_15-1", "overlapped", "ssul-m", "resnet101")
    assert made.run_name(0) == "ssul-m voc 15-1 overlapped resnet101"
    assert made.run_name(2) == "ssul-m voc 15-1 overlapped resnet101 seed 2"
