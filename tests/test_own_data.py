"""docs/own_data.md is right: its commands run one after the other, and its examples are read as it says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml
from PIL import Image
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.config.load import parse_custom_dataset
from ssul.data.layout import SplitFiles, read_image_list
from tests.project import PROJECT, commands_in

PAGE = (PROJECT / "docs" / "own_data.md").read_text(encoding="utf-8")
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 2, "height": 2}],
    "categories": [{"id": 1, "name": "road"}],
    "annotations": [{"image_id": 1, "category_id": 1, "segmentation": {"size": [2, 2], "counts": [1, 3]}}],
}
OUTLINE = {"label": "road", "points": [[0, 0], [1, 0], [1, 1]], "shape_type": "polygon"}


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found is not None
    return found[1]


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "outlines", "matrices", "labels", "conf/data"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (2, 2)).save("photos/a.jpg")
    Image.new("RGB", (2, 2)).save("outlines/a.jpg")
    for name in ("train", "val"):
        Path(f"instances_{name}.json").write_text(json.dumps(COCO))
    Path("outlines/a.json").write_text(json.dumps({"imagePath": "a.jpg", "shapes": [OUTLINE]}))
    scipy.io.savemat("matrices/a.mat", {"mask": np.eye(2)})
    Image.new("RGB", (2, 2), (128, 64, 128)).save("labels/a_L.png")
    Path("colours.txt").write_text("0 0 0 background\n128 64 128 road\n")
    commands = [words[1:] for words in commands_in(PAGE) if words[0] == "ssul"]
    for words in commands:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (words, result.output, result.exception)
    assert {path.stem for path in Path("conf/data").iterdir()} == {Path(words[-1]).name for words in commands}


def test_the_description_with_colours_is_valid() -> None:
    custom = parse_custom_dataset(yaml.safe_load(block("yaml"))["custom"])
    assert custom is not None
    assert custom.colours is not None


def test_the_image_list_is_read(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(block("text"), encoding="utf-8")
    files = SplitFiles("JPEGImages/{id}.jpg", "SegmentationClass/{id}.png")
    assert read_image_list(tmp_path / "train.txt", files) == ["town/a", "b", "c", "d"]
