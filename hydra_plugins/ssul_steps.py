"""What `dvc exp run` needs to compose params.yaml: the steps of a scenario, and refusals before anything is written."""

import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from hydra_plugins.ssul_one_line import one_line
from ssul.config.custom_dataset import CustomDataset
from ssul.config.load import parse_custom_dataset, parse_params
from ssul.config.paths import Layout
from ssul.config.schema import ModelParams
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.custom import resolve_dataset
from ssul.datasets.known_network import KnownNetwork
from ssul.errors import UserError
from ssul.pipeline.folder_listings import restore_listings
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


def known_classes(described: DictConfig | None) -> int:
    """How many classes the network knows that a dataset extends."""
    return _extended(described).known


def new_classes(described: DictConfig | None) -> int:
    """How many classes it does not know yet."""
    spec = _extended(described)
    return len(spec.classes) - spec.known


def network(described: DictConfig | None) -> DictConfig:
    """The section `model` of that network."""
    with one_line():
        found = KnownNetwork.read(str(_description(described).extends)).architecture
        fields = ModelParams.model_fields.keys() & found.keys()
        return OmegaConf.create(
            {"classifier": "conv3x3", "separable": False, "weights": "none"} | {name: found[name] for name in fields}
        )


def _extended(described: DictConfig | None) -> DatasetSpec:
    with one_line():
        return resolve_dataset("extension", _description(described))


def _description(described: DictConfig | None) -> CustomDataset:
    own = None if described is None else parse_custom_dataset(OmegaConf.to_container(described))
    if own is None or own.extends is None:
        raise UserError(
            "scenario=extension needs a dataset that names a checkpoint: data.custom.extends, see docs/extend.md"
        )
    return own


def last_step(increments: Mapping[str, Any], *, _root_: DictConfig) -> int:
    """The index of the last step. Every composition asks for it, so it also validates all parameters."""
    global _validating
    if not _validating:  # the whole contains this very value
        _validating = True
        try:
            with one_line():
                _validate(_root_, sys.argv)
        finally:
            _validating = False
    return len(increments)


def _validate(composed: DictConfig, command: list[str]) -> None:
    runs = any(pair in (("exp", "run"), ("experiments", "run")) for pair in pairwise(command))
    elsewhere = {"--queue", "--temp", "--dry"} & set(command)  # then this folder's params.yaml stays as it is
    if runs and not elsewhere:
        require_idle(PROJECT)
    parse_params(OmegaConf.to_container(composed, resolve=True))
    if runs and not elsewhere:
        keep_params(Layout(PROJECT))
    elif runs:
        _restore_listings()


def _restore_listings() -> None:
    from dvc.repo import Repo

    with Repo(str(PROJECT)) as repo:
        restore_listings(PROJECT / "dvc.lock", Path(repo.cache.local.path))


OmegaConf.register_new_resolver("ssul.steps", steps, replace=True)
OmegaConf.register_new_resolver("ssul.known_classes", known_classes, replace=True)
OmegaConf.register_new_resolver("ssul.new_classes", new_classes, replace=True)
OmegaConf.register_new_resolver("ssul.network", network, replace=True)
OmegaConf.register_new_resolver("ssul.last_step", last_step, replace=True)
