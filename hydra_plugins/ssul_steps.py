"""Resolvers that derive the pipeline's steps from a scenario's arithmetic, which `ssul.scenario` owns."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ssul.config.load import parse_custom_dataset
from ssul.datasets.custom import resolve_dataset
from ssul.scenario.order import make_scenario
from ssul.scenario.scenario import pipeline_steps


def steps(
    data_set_name: str, described: DictConfig | None, order: str | ListConfig, base_classes: int, increment: int
) -> DictConfig:
    """The increments of a scenario, as dvc.yaml's `foreach` wants them."""
    own = None if described is None else parse_custom_dataset(OmegaConf.to_container(described))
    data_set = resolve_dataset(data_set_name, own)
    listed = order if isinstance(order, str) else list(order)
    scenario = make_scenario(listed, base_classes, increment, dataset=data_set.name, names=data_set.classes)
    return OmegaConf.create(dict(pipeline_steps(scenario)))


def last_step(increments: Mapping[str, Any]) -> int:
    """The index of the last step."""
    return len(increments)


OmegaConf.register_new_resolver("ssul.steps", steps, replace=True)
OmegaConf.register_new_resolver("ssul.last_step", last_step, replace=True)
