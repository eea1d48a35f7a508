"""What `dvc exp run` needs to compose params.yaml: the steps of a scenario, and refusals before anything is written."""

import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from hydra_plugins.ssul_one_line import one_line
from ssul.config.load import parse_custom_dataset, parse_params
from ssul.config.paths import Layout
from ssul.datasets.custom import resolve_dataset
from ssul.pipeline.running import require_idle
from ssul.pipeline.way_back import keep_params
from ssul.scenario.order import make_scenario
from ssul.scenario.scenario import pipeline_steps

PROJECT = Path(__file__).parents[1]
_validating = False


def steps(
    data_set_name: str, described: DictConfig | None, order: str | ListConfig, base_classes: int, increment: int
) -> DictConfig:
    """The increments of a scenario, as dvc.yaml's `foreach` wants them."""
    with one_line():
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
            with one_line():
                _validate(_root_, writes_params=_writes_params(sys.argv))
        finally:
            _validating = False
    return len(increments)


def _validate(composed: DictConfig, *, writes_params: bool) -> None:
    if writes_params:
        require_idle(PROJECT)
    parse_params(OmegaConf.to_container(composed, resolve=True))
    if writes_params:
        keep_params(Layout(PROJECT))


def _writes_params(words: list[str]) -> bool:
    """Whether the command is a `dvc exp run` that changes the params.yaml of this folder for good."""
    runs = any(pair in (("exp", "run"), ("experiments", "run")) for pair in pairwise(words))
    return runs and not {"--queue", "--temp", "--dry"} & set(words)


OmegaConf.register_new_resolver("ssul.steps", steps, replace=True)
OmegaConf.register_new_resolver("ssul.last_step", last_step, replace=True)
