"""Every parameter is described, and its values are said as the schema checks them."""

import pytest

from ssul.config.dotted import leaves
from ssul.config.reference import parameters
from tests.project import composed

ALL = {one.name: one for one in parameters()}


@pytest.mark.parametrize("method", ["ssul", "dkd", "mib", "star"])
def test_every_parameter_of_a_run_has_an_entry(method: str) -> None:
    names = set(leaves(composed(f"method={method}")))
    unlisted = {name for name in names - ALL.keys() if not name.startswith("scenario.steps.")}
    assert unlisted == {"data.custom"}  # null here: its own parameters are listed


def test_every_parameter_says_what_it_decides() -> None:
    assert [one.name for one in ALL.values() if not one.text.endswith(".")] == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("data.holdout", "number ≥ 0, < 1"),
        ("data.root", "text or null"),
        ("model.output_stride", "8 | 16"),
        ("model.separable", "true | false"),
        ("method.ssul.pseudo_threshold", "number ≥ 0, ≤ 1 or null"),
        ("recipe.scale", "2 times (number > 0, ≤ 16)"),
        ("scenario.order", "text or list of (whole number or text)"),
        ("data.custom.val.image", "text"),
    ],
)
def test_the_values_are_said_in_words(name: str, values: str) -> None:
    assert ALL[name].values == values


def test_a_parameter_of_one_method_names_it() -> None:
    assert ALL["method.mib.void"].method == "mib"
    assert ALL["method.fusion"].method is None
