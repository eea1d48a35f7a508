"""The numbers of the papers, which the table of many runs shows below ours.

They stand in published_results.yaml, each with the place where it was read and the protocol of its evaluation.
"""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, NamedTuple

import yaml
from pydantic import BeforeValidator, Field

from ssul.config.base import StrictModel
from ssul.scenario.scenario import Setting

Percent = Annotated[float, Field(ge=0.0, le=100.0)]


class PublishedScores(StrictModel):
    """Scores after the last step in percent, see `ssul.evaluation.scores`; None where the source prints none."""

    old: Percent | None = None
    new: Percent | None = None
    all: Percent
    hiou: Percent | None = None


class PublishedProtocol(StrictModel):
    """How predictions were scored, in words: images and their size, what later classes count as, and which weights."""

    images: str
    size: str
    future: str
    weights: str


class PublishedRow(NamedTuple):
    """A method's results in one source.

    Attributes:
        method: its name.
        setting: overlapped, say.
        protocol: the name of a protocol; None if not known.
        source: where the numbers were read.
        scores: by scenario.
    """

    method: str
    setting: Setting
    protocol: str | None
    source: str
    scores: Mapping[str, PublishedScores]


def published_rows(scenarios: Collection[str], settings: Collection[str]) -> list[PublishedRow]:
    """The published results in some scenarios and settings; the rows of a method follow each other.

    Args:
        scenarios: the rows hold the scores of these alone.
        settings: see `ssul.scenario`.
    """
    found = []
    for table in _published().tables:
        for method, by_scenario in table.rows.items() if table.setting in settings else ():
            scores = {name: one for name, one in by_scenario.items() if name in scenarios}
            if scores:
                found.append(PublishedRow(method, table.setting, table.protocol, table.source, scores))
    place = {method: at for at, method in reversed(list(enumerate(row.method for row in found)))}  # of its first row
    return sorted(found, key=lambda row: place[row.method])


def published_protocols() -> Mapping[str, PublishedProtocol]:
    """The protocols of the published results by their names."""
    return _published().protocols


def _scores(value: object) -> object:
    """A single number is the mean over all classes."""
    return value if isinstance(value, dict) else {"all": value}


class _Table(StrictModel):
    """Rows that share source, protocol and setting: method -> scenario -> scores."""

    source: str
    protocol: str | None
    setting: Setting
    rows: dict[str, dict[str, Annotated[PublishedScores, BeforeValidator(_scores)]]]


class _Published(StrictModel):
    """The content of the file."""

    protocols: dict[str, PublishedProtocol]
    tables: list[_Table]


@cache
def _published() -> _Published:
    text = files("ssul.report").joinpath("published_results.yaml").read_text(encoding="utf-8")
    return _Published.model_validate(yaml.safe_load(text))
