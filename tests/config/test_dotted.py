"""Parameters have dotted names."""

import pytest

from ssul.config.dotted import LOCATION_PARAMS, affects_results, differences, leaves, value_at
from tests.project import composed


def test_nested_parameters_get_dotted_names_and_a_list_is_one_value() -> None:
    assert leaves({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": 1, "a.d": [1, 2], "e": None}


def test_values_differ_as_dvc_compares_them() -> None:
    """`recipe.scale=[1,2]` after `recipe.scale=[1.0,2.0]` runs nothing again."""
    one: dict[str, object] = {"a": 1, "b": [1, 2], "c": None, "d": "x"}
    assert differences(one, {"a": 1.0, "b": [1.0, 2.0], "c": None, "d": "x"}) == []
    assert differences(one, {"a": 2, "b": [2, 1], "d": "x", "e": None}) == ["a", "b", "c", "e"]


@pytest.mark.parametrize(("name", "value"), [("a", {"b": 1}), ("a.b", 1), ("a.c", None), ("a.b.c", None), ("d", None)])
def test_a_name_finds_a_value_or_a_section(name: str, value: object) -> None:
    assert value_at({"a": {"b": 1}}, name) == value


def test_only_places_and_what_the_index_holds_change_no_result() -> None:
    names = leaves(composed())
    assert [name for name in names if not affects_results(name)] == list(LOCATION_PARAMS)
