"""What `dvc exp run` needs to compose params.yaml: the steps of a scenario, and refusals before anything is written.

A refusal is a SystemExit, because DVC drowns every other exception in words of its own.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ssul.config.load import parse_custom_dataset, parse_params
from ssul.datasets.custom import resolve_dataset
from ssul.errors import UserError
from ssul.pipeline.running import require_idle
from ssul.scenario.order import make_scenario
from ssul.scenario.scenario import pipeline_steps

PROJECT = Path(__file__).parents[1]
_validating = False


def steps(
    data_set_name: str, described: DictConfig | None, order: str | ListConfig, base_classes: int, increment: int
) -> DictConfig:
    """The increments of a scenario, as dvc.yaml's `foreach` wants them."""
    with _one_line():
        own = None if described is None else parse_custom_dataset(OmegaConf.to_container(described))
        data_set = resolve_dataset(data_set_name, own)
        listed = order if isinstance(order, str) else list(order)
        scenario = make_scenario(listed, base_classes, increment, dataset=data_set.name, names=data_set.classes)
        return OmegaConf.create(dict(pipeline_steps(scenario)))


def last_step(increments: Mapping[str, Any], *, _root_: DictConfig) -> int:
    """The index of the last step. Every composition asks for it, so it also validates all parameters."""
    global _validating
    if not _validating:  # the whole contains this very value
        _validating = True
        try:
            with _one_line():
                if _writes_params(sys.argv):
                    require_idle(PROJECT)
                parse_params(OmegaConf.to_container(_root_, resolve=True))
        finally:
            _validating = False
    return len(increments)


def _writes_params(words: list[str]) -> bool:
    """Whether the command is a `dvc exp run` that changes the params.yaml of this folder for good."""
    return words[1:3] in (["exp", "run"], ["experiments", "run"]) and not {"--queue", "--temp"} & set(words)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


OmegaConf.register_new_resolver("ssul.steps", steps, replace=True)
OmegaConf.register_new_resolver("ssul.last_step", last_step, replace=True)
