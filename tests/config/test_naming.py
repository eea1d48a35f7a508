"""The names of runs."""

import pytest

from ssul.config.load import parse_params
from ssul.config.naming import RunName
from tests.project import composed


def name_of(*overrides: str) -> str:
    return str(RunName.of(parse_params(composed(*overrides))))


def test_a_run_is_named_after_its_method_scenario_setting_and_backbone() -> None:
    assert name_of() == "ssul shapes_6-2 overlapped small"
    assert name_of("memory=rehearsal") == "ssul-m shapes_6-2 overlapped small"
    assert name_of("method=plop", "setting=disjoint") == "plop shapes_6-2 disjoint small"


@pytest.mark.parametrize("name", ["dkd", "star"])
def test_a_method_whose_loss_is_its_own_has_its_bare_name(name: str) -> None:
    assert name_of(f"method={name}") == f"{name} shapes_6-2 overlapped small"
    assert name_of(f"method={name}", "memory=appended") == f"{name}-m shapes_6-2 overlapped small"


def test_overrides_are_in_the_name() -> None:
    assert name_of("scenario.increment=1").split()[1] == "shapes_6-1"
    assert name_of("scenario=voc_15-1", "scenario.order=b").split()[1] == "voc_15-1_b"
    assert name_of("scenario.order=[10,9,8,7,6,5,4,3,2,1]").split()[1] == "shapes_6-2_custom"
    assert name_of("method.ssul.freeze=false").startswith("ssul without freeze shapes")
    assert name_of("method.ssul.pseudo_threshold=null").startswith("ssul without pseudo_labels shapes")
    assert name_of("method.loss=ce").startswith("ssul without bce shapes")
    assert name_of("method=mib", "method.mib.freeze_norm=true").startswith("mib with freeze_norm shapes")


def test_a_value_that_a_method_fixes_is_not_in_its_name() -> None:
    for method in ("ilt", "lwf", "lwf_mc", "mib", "plop", "finetune"):
        assert name_of(f"method={method}") == f"{method} shapes_6-2 overlapped small"
    assert name_of("method=finetune", "method.loss=bce").startswith("finetune with bce shapes")


def test_a_fusion_is_in_the_name() -> None:
    assert name_of("method=mib", "method.fusion=true") == "mib + fusion shapes_6-2 overlapped small"
    everything = ("method=plop", "method.fusion=true", "method.plop.freeze_norm=true", "memory=rehearsal")
    assert name_of(*everything).startswith("plop-m + fusion with freeze_norm shapes")


def test_a_memory_that_nothing_rehearses_is_not_in_the_name() -> None:
    assert name_of("scenario=shapes_offline", "memory=rehearsal") == "ssul shapes_offline overlapped small"


def test_the_bugs_of_the_published_code_are_in_the_name() -> None:
    published = ("method=ssul_published", "memory=rehearsal")
    assert name_of(*published).startswith("ssul-m as published shapes")
    without = name_of(*published, "method.selection=last")
    assert without.startswith("ssul-m with bugs memory_labels, memory_annotation, padding, drop_last shapes")
    assert name_of("method.published_bugs.memory_annotation=true").startswith("ssul with bugs memory_annotation sh")


def test_the_reports_name_the_seed_always() -> None:
    made = RunName("voc_15-1", "overlapped", "ssul-m", "resnet101")
    assert made.with_seed(0) == "ssul-m voc_15-1 overlapped resnet101, seed 0"


def test_a_list_of_runs_shows_a_seed_that_is_not_0() -> None:
    made = RunName("voc_15-1", "overlapped", "ssul-m", "resnet101")
    assert made.run_name(0) == "ssul-m voc 15-1 overlapped resnet101"
    assert made.run_name(2) == "ssul-m voc 15-1 overlapped resnet101 seed 2"
