"""`ssul export-backbone`: the file starts a network where the checkpoint's backbone ended, and says what made it."""

import hashlib
import json
from pathlib import Path

import torch
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.cli.checkpoints import BASE_STAGES
from ssul.config.paths import Layout
from ssul.evaluation.results import Results
from ssul.io.atomic import write_json
from ssul.model.backbones import build_backbone
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab

MEANING = {"labels": {"groups": [[1]], "unknown": True, "activation": "sigmoid"}, "class_names": ["ball"]}


def test_a_network_starts_from_the_exported_backbone_in_half_precision_and_a_file_says_what_made_it(
    tmp_path: Path, results: Results
) -> None:
    layout, out = Layout(tmp_path), tmp_path / "backbone.safetensors"
    torch.manual_seed(3)
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 8), (1, 1, 1))
    save_checkpoint(layout.checkpoint(0), model, MEANING)
    layout.evaluation(0).mkdir(parents=True)
    results.write(layout.evaluation(0))
    for number, stage in enumerate(BASE_STAGES):
        write_json(layout.made_with(stage), {f"parameter.{stage}": number})

    words = ["export-backbone", str(layout.checkpoint(0)), "--out", str(out), "--root", str(tmp_path)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)

    assert done.exit_code == 0, done.output
    loaded = build_backbone("small", 8, str(out)).state_dict()
    for name, tensor in model.backbone.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded[name], expected), name
    assert json.loads(out.with_suffix(".json").read_text()) == {
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "parameters": {"parameter.prepare": 0, "parameter.splits": 1, "parameter.train_base": 2},
        "all": results.rows[0]["all"],
    }
