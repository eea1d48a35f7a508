"""A working folder in the middle of a run: parameters, index, splits, and what the last evaluation left."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from ssul.config.load import parse_params
from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.results import Results
from ssul.evaluation.scores import Scores
from ssul.scenario.splits import Split
from tests.project import PROJECT, composed, composed_text
from tests.tracking.examples import CURVES, own_project

DECIDING = (  # the single files that dvc.yaml lists
    *(f"stages/{name}.py" for name in ("prepare", "splits", "train_base", "evaluate", "select_memory", "train_step")),
    "ssul/methods/build.py",
    "ssul/methods/remember.py",
)
NAMES = ("background", *find_dataset("shapes").classes[:3])


@pytest.fixture
def settings() -> Params:
    """The default parameters."""
    return parse_params(composed())


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The working folder of a project with an empty MLflow store; all paths are relative to it."""
    own_project(tmp_path / "project", monkeypatch)
    fill(layout := Layout())
    return layout


def fill(layout: Layout) -> None:
    """Writes what the stages before leave."""
    layout.params.write_text(composed_text(), encoding="utf-8")
    shutil.copyfile(PROJECT / "dvc.yaml", layout.pipeline)
    for name in DECIDING:
        (layout.root / name).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / name).write_text("1", encoding="utf-8")
    known = find_dataset("shapes")
    for split, files in (("train", known.train), ("val", known.val)):
        row = IndexRow(f"{split}_00000", 48, 64, {0: 3000, 1: 72}, 0, 1234, "0" * 64)
        ImageIndex("shapes", known.classes, files, known.values, (row,)).write(layout.index(split))
    DatasetInfo(known.palette, {}, {}).write(layout.dataset_info)
    InitialCheckpoint(None).write(layout.initial_checkpoint)
    Split(1, ((1,), (2, 3)), NAMES[1:], ("train_00000",), ()).write(layout.split(1))
    contents = {layout.metrics: "{}", layout.miou_per_step: "[]", layout.class_iou: "[]", layout.page: "# page"}
    contents |= {layout.interactive_page: "<p>page</p>"}
    contents |= {layout.evaluation(2) / "image_counts.json": "{}"}
    contents |= {layout.figures / "curve.png": "png", layout.checkpoint(2) / "model.json": '{"format": 1}'}
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


@pytest.fixture
def results() -> Results:
    """The scores of two steps, which learned three classes."""
    rows = [
        Scores(step, 0.5, new, 0.5, new and 1 / 3, new, 0.5, 0.5, new, 0.5, 0.9, new, 0.5, iou, iou, [])
        for step, (new, iou) in enumerate([(None, {NAMES[0]: 0.75}), (0.25, {NAMES[0]: 0.5, NAMES[1]: 1 / 3})])
    ]
    return Results("shapes", True, NAMES, (1, 2), 150, tuple(map(asdict, rows)), ((9, 0, 0, 0),) * 4, CURVES)


@pytest.fixture
def summary() -> dict[str, object]:
    """What the stage `splits` wrote."""
    steps = [
        {"step": 0, "images": 7, "classes": [{"name": NAMES[1]}]},
        {"step": 1, "images": 2, "classes": [{"name": NAMES[2]}, {"name": NAMES[3]}]},
    ]
    return {"setting": "overlapped", "images": 9, "steps": steps}
