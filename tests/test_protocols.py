"""docs/protocols.md is right: its settings are ones of ours, and they are those of the published protocols."""

import re

import pytest

from ssul.config.load import parse_params
from ssul.report.published_results import published_protocols
from tests.project import PROJECT, commands_in, composed

PAGE = (PROJECT / "docs" / "protocols.md").read_text(encoding="utf-8")
EXPERIMENTS = [words[4::2] for words in commands_in(PAGE)]  # dvc exp run -S ... -S ...


@pytest.mark.parametrize("overrides", EXPERIMENTS, ids=" ".join)
def test_the_settings_of_each_protocol_compose_and_score_the_square_that_it_names(overrides: list[str]) -> None:
    asked = parse_params(composed(*overrides)).evaluation
    name = "MiB" if "method=mib" in overrides or "method=plop" in overrides else "SSUL"
    protocol = published_protocols()["DKD" if asked.images == "seen" else name]
    assert asked.protocol == "crop"
    assert f"{asked.crop} pixels" in protocol.size
    assert ("show a learned class" in protocol.images) == (asked.images == "seen")


@pytest.mark.parametrize(
    "setting", sorted(set(re.findall(r"`((?:evaluation|method|memory|recipe)\.[a-z._]+=\w+)`", PAGE)))
)
def test_every_setting_that_the_page_names_is_one(setting: str) -> None:
    method = ["method=mib"] if setting.startswith("method.mib.") else []
    parse_params(composed(*method, setting))


def test_every_protocol_of_the_published_numbers_is_a_column() -> None:
    heads = next(line for line in PAGE.splitlines() if line.startswith("| |"))
    assert all(name in heads for name in published_protocols())


def test_every_relative_link_has_a_target() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (PROJECT / "docs" / target).exists(), target
