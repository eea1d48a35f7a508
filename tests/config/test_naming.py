"""What a run is called."""

from ssul.config.load import parse_params
from ssul.config.naming import RunName
from tests.project import composed


def subject_of(*overrides: str) -> str:
    return str(RunName.of(parse_params(composed(*overrides))))


def test_a_run_is_called_by_what_it_is() -> None:
    assert subject_of() == "ssul shapes_6-2 overlapped small"
    assert subject_of("memory=rehearsal") == "ssul-m shapes_6-2 overlapped small"
    assert subject_of("method=plop", "setting=disjoint") == "plop shapes_6-2 disjoint small"


def test_overrides_do_not_hide_behind_a_name() -> None:
    assert subject_of("scenario.increment=1").split()[1] == "shapes_6-1"
    assert subject_of("scenario=voc_15-1", "scenario.order=b").split()[1] == "voc_15-1_b"
    assert subject_of("scenario.order=[10,9,8,7,6,5,4,3,2,1]").split()[1] == "shapes_6-2_custom"
    assert subject_of("method.ssul.freeze=false").startswith("ssul without freeze shapes")
    assert subject_of("method.ssul.pseudo_threshold=null").startswith("ssul without pseudo_labels shapes")
    assert subject_of("method.loss=ce").startswith("ssul without bce shapes")
    assert subject_of("method=mib", "method.mib.freeze_norm=true").startswith("mib with freeze_norm shapes")


def test_a_memory_that_nothing_rehearses_is_not_in_the_name() -> None:
    assert subject_of("scenario=shapes_offline", "memory=rehearsal") == "ssul shapes_offline overlapped small"


def test_the_bugs_of_the_published_code_are_in_the_name() -> None:
    published = ("method=ssul_published", "memory=rehearsal")
    assert subject_of(*published).startswith("ssul-m as published shapes")
    without = subject_of(*published, "method.selection=last")
    assert without.startswith("ssul-m with bugs memory_labels, memory_annotation, padding shapes")
    assert subject_of("method.published_bugs.memory_annotation=true").startswith("ssul with bugs memory_annotation sh")


def test_a_list_of_runs_shows_the_name_in_words_and_a_seed_that_is_not_0() -> None:
    made = RunName("voc_15-1", "overlapped", "ssul-m", "resnet101")
    assert made.run_name(0) == "ssul-m voc 15-1 overlapped resnet101"
    assert made.run_name(2) == "ssul-m voc 15-1 overlapped resnet101 seed 2"
