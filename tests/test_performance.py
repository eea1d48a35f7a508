"""The commands of docs/performance.md compose valid parameters."""

import pytest

from tests.project import PROJECT, commands_in, composed

PAGE = (PROJECT / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", commands_in(PAGE), ids=" ".join)
def test_an_experiment_of_the_page_can_be_composed(words: list[str]) -> None:
    assert words[:3] == ["dvc", "exp", "run"]
    for override in words[4::2]:
        name, _, value = override.removeprefix("recipe.").partition("=")
        section, key = name.split(".")
        assert composed(*words[4::2])["recipe"][section][key] == int(value)
