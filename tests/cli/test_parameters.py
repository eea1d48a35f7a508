"""`ssul parameters` finds parameters by a part of their name, and makes docs/parameters.md."""

import re

import pytest
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.cli.parameters import page
from ssul.errors import UserError
from tests.project import PROJECT


def printed(*words: str) -> str:
    result = CliRunner().invoke(app, ["parameters", *words, "--root", str(PROJECT)], catch_exceptions=False)
    return result.output


def test_words_choose_the_parameters_that_hold_all_of_them() -> None:
    names = re.findall(r"^(\S+): ", printed("base", "lr"), flags=re.MULTILINE)
    assert names == ["recipe.base.lr", "recipe.base.backbone_lr_ratio"]


def test_values_default_and_meaning_are_printed() -> None:
    text = printed("pseudo_threshold")
    assert text.startswith("method.ssul.pseudo_threshold: number ≥ 0, ≤ 1 or null; default 0.7\n")
    assert "a score reaches it" in text


def test_a_word_of_no_parameter_is_refused() -> None:
    with pytest.raises(UserError, match="learnrate"):
        printed("learnrate")


def test_the_page_says_what_the_schema_says() -> None:
    """A method that a user added is not on the page yet: so each section of the page is looked for."""
    made = page(PROJECT).split("\n\n## ")
    committed = (PROJECT / "docs" / "parameters.md").read_text(encoding="utf-8").strip().split("\n\n## ")
    outdated = [section.partition("\n")[0] for section in committed if section not in made]
    assert outdated == [], "renew it: ssul parameters --markdown > docs/parameters.md"
