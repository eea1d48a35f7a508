"""What stands around the code agrees with it: citation, changelog, guide for contributors, container, templates."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import PROJECT, commands_in

PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "docs/sharing.md")
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = re.findall(r"^(\w[\w-]*):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


def text(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with what follows each."""
    lines = [line for line in text("Dockerfile").replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_has_a_target(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text(page)):
        if not target.startswith("http"):
            assert ((PROJECT / page).parent / target).exists(), target


def test_the_citation_is_that_of_the_package_and_of_the_readme() -> None:
    citation: dict[str, Any] = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format demands
    assert (citation["version"], citation["license"]) == (METADATA["version"], METADATA["license"])
    paper = citation["preferred-citation"]
    authors = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    readme = text("README.md").replace("{", "").replace("}", "")
    for fact in (paper["title"], paper["collection-title"], authors):
        assert fact in readme


def test_the_changelog_begins_with_what_is_not_released_and_knows_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert METADATA["version"] in text("CHANGELOG.md")
    kinds = set(re.findall(r"^### (\w+)", text("CHANGELOG.md"), flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_contributors_are_told_commands_that_exist() -> None:
    assert [words[0] for words in commands_in(text("CONTRIBUTING.md"))] == ["make"] * 4
    assert {words[1] for words in commands_in(text("CONTRIBUTING.md"))} <= set(TARGETS)
    assert {"setup", "share"} <= set(TARGETS)


def test_the_containers_install_as_the_makefile_does() -> None:
    assert "-c constraints.txt -e" in text("Makefile")
    stages = [words.split()[2] for name, words in instructions() if name == "FROM" and " AS " in words]
    runs = [words for name, words in instructions() if name == "RUN"]
    assert runs[-1] == "make setup"
    assert not any("pip" in words for words in runs)
    described = json.loads(text(".devcontainer/devcontainer.json"))
    assert (PROJECT / ".devcontainer" / described["build"]["dockerfile"]).resolve() == PROJECT / "Dockerfile"
    assert described["build"]["target"] == stages[0] == "tools"
    assert described["postCreateCommand"] == "make setup"
    assert f"useradd --create-home {described['remoteUser']}" in runs[0]


def test_the_image_starts_from_a_python_that_the_package_supports() -> None:
    (version,) = re.findall(r"^FROM python:(3\.\d+)", text("Dockerfile"), flags=re.MULTILINE)
    assert METADATA["requires-python"] == f">={version}"
    assert f"Programming Language :: Python :: {version}" in METADATA["classifiers"]


@pytest.mark.parametrize("path", sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda it: it.name)
def test_an_issue_form_is_one(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    fields = [one for one in form["body"] if one["type"] != "markdown"]
    assert fields
    assert len({one["id"] for one in fields}) == len(fields)
    assert all(one["attributes"]["label"] for one in fields)
