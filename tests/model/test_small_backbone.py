"""The shipped weights of the small backbone are what the documented command makes."""

import hashlib
import json
import re

import torch
from safetensors.torch import load_file

from ssul.cli.checkpoints import BASE_STAGES
from ssul.config.dotted import affects_results
from ssul.config.stages import read_stages
from ssul.datasets.catalog import find_dataset
from ssul.model.backbones import build_backbone
from ssul.model.weights import SMALL_BACKBONE
from ssul.pipeline.made_with import listed_params
from tests.project import PROJECT, composed

MADE = json.loads(SMALL_BACKBONE.with_suffix(".json").read_text(encoding="utf-8"))


def test_the_file_is_that_of_the_documented_command_and_its_parameters_are_what_the_command_composes() -> None:
    page = (PROJECT / "docs" / "pretraining.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^dvc exp run (.*)$", page, flags=re.MULTILINE)
    params = composed(*command.replace("-S ", "").split())
    stages = {stage.name: stage for stage in read_stages(PROJECT / "dvc.yaml", params)}
    listed = [listed_params(stages[name], params) for name in BASE_STAGES]
    deciding = {name: value for one in listed for name, value in one.items() if affects_results(name)}
    assert MADE["parameters"] == {name: deciding[name] for name in MADE["parameters"]}
    later = {name: value for name, value in deciding.items() if name not in MADE["parameters"]}
    assert later == {"method.positive_weight": 1, "recipe.base.accumulate": 1}  # which trains as before
    assert hashlib.sha256(SMALL_BACKBONE.read_bytes()).hexdigest() == MADE["sha256"]


def test_it_was_trained_on_none_of_the_embedded_worlds_classes_and_knows_its_own() -> None:
    assert MADE["parameters"]["data.name"] == "silhouettes"
    assert not set(find_dataset("silhouettes").classes) & set(find_dataset("shapes").classes)
    assert MADE["all"] > 0.5


def test_it_is_small_and_the_backbone_starts_from_it() -> None:
    assert SMALL_BACKBONE.stat().st_size < 2_000_000
    state = load_file(SMALL_BACKBONE)
    backbone = build_backbone("small", 8, "pretrained")
    assert backbone.state_dict().keys() == state.keys()
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, state[name].to(tensor.dtype)), name
        assert tensor.isfinite().all(), name
