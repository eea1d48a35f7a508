"""docs/backbones.md and docs/import.md are right: their experiments compose, their commands run, their links exist."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import segmentation
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.config.load import parse_params
from tests.project import PROJECT, commands_in, composed

PAGES = {name: (PROJECT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("backbones", "import")}


@pytest.mark.parametrize("words", commands_in(PAGES["backbones"]), ids=" ".join)
def test_every_experiment_composes_with_a_network_that_timm_has(words: list[str]) -> None:
    timm = pytest.importorskip("timm")
    assert words[:3] == ["dvc", "exp", "run"]
    backbone = parse_params(composed(*words[4::2])).model.backbone
    assert timm.models.get_pretrained_cfg(backbone.removeprefix("timm:")) is not None


def torchvisions() -> nn.Module:
    return segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True)  # type: ignore[no-any-return]


def smps() -> nn.Module:
    smp = pytest.importorskip("segmentation_models_pytorch")
    return smp.DeepLabV3Plus("resnet50", encoder_weights=None, classes=4)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for words in commands_in(PAGES["import"]) if "--from" in words], ids=" ".join)
def test_every_import_runs(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = next(word for word in words if word.endswith((".pth", ".ckpt")))
    torch.save((torchvisions() if "torchvision" in words else smps()).state_dict(), file)
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    assert "data/imported: deeplabv3" in result.output
    assert ("left out: " in result.output) == ("torchvision" in words)


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_has_a_target(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGES[page]):
        assert target.startswith("http") or (PROJECT / "docs" / target).exists(), target
