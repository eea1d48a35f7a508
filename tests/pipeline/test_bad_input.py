"""What a user gets wrong is answered in one line that names the thing, and leaves no half-written output."""

import importlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.datasets import catalog
from ssul.datasets.shapes.world import draw_world
from ssul.pipeline.run import run
from tests.pipeline.clone import Outcome
from tests.project import PROJECT, composed_text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    palette = catalog.find_dataset("shapes").palette
    for _ in draw_world(root, seed=1, train=6, val=2, height=48, width=64, palette=palette):
        pass
    return root


@dataclass(frozen=True)
class Project:
    """A folder whose stages run in this process: the working folder."""

    root: Path
    capture: pytest.CaptureFixture[str]

    def stage(self, name: str, *arguments: str) -> Outcome:
        """Runs one stage; an error without a one-line message fails the test."""
        main = importlib.import_module(f"stages.{name}").main
        code = 0
        self.capture.readouterr()
        try:
            run(main, *arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        return Outcome(code, "".join(self.capture.readouterr()))


@pytest.fixture(scope="module")
def params() -> str:
    return composed_text()


@pytest.fixture
def project(
    params: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    (root / "params.yaml").write_text(params, encoding="utf-8")
    shutil.copyfile(PROJECT / "dvc.yaml", root / "dvc.yaml")
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Project(root, capsys)


@pytest.fixture
def damaged(project: Project, world: Path, tmp_path: Path) -> Path:
    """A copy of the world, to be damaged: the project's data root."""
    root = tmp_path / "damaged"
    shutil.copytree(world, root)
    set_parameter(project, "data.root", str(root))
    return root


def set_parameter(project: Project, name: str, value: object) -> None:
    path = project.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    *sections, last = name.split(".")
    place = params
    for section in sections:
        place = place[section]
    place[last] = value
    path.write_text(yaml.safe_dump(params))


def refused(outcome: Outcome, *words: str) -> None:
    """One line, no traceback, that holds all the words."""
    errors = [line for line in outcome.text.splitlines() if line.startswith("error: ")]
    assert outcome.code == 1
    assert len(errors) == 1, outcome.text
    for word in words:
        assert word in errors[0]


def nothing_left(project: Project, folder: str) -> None:
    place = project.root / "data" / folder
    assert not place.exists() or list(place.iterdir()) == []


IMAGES = {"image": "{id}.jpg", "mask": "{id}.png"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory.capasity": 3}, ("memory.capasity", "memory.capacity", "strategy")),
        ({"recipe.base.epochs": "many"}, ("recipe.base.epochs", "many")),
        ({"data.name": "cityscapes"}, ("cityscapes", "shapes", "voc")),
        ({"data.root": "nowhere/at/all"}, ("nowhere/at/all", "is not a folder", "-S data.root=FOLDER")),
        ({"data.name": "ade"}, ("ade has no saliency maps", "-S data.saliency=none")),
        (
            {"data.name": "town", "data.custom": {"classes": ["a"], "train": IMAGES, "val_share": 0.5}},
            ("data: shapes and custom exclude each other", "set shapes to null"),
        ),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_parameter_is_named_with_the_way_out(
    project: Project, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    for name, value in changes.items():
        set_parameter(project, name, value)
    refused(project.stage("prepare"), *words)
    nothing_left(project, "index")


def test_base_and_increments_that_do_not_fit_name_the_valid_range(project: Project, world: Path) -> None:
    set_parameter(project, "data.root", str(world))
    assert project.stage("prepare").code == 0
    set_parameter(project, "scenario.base_classes", 11)
    refused(project.stage("splits"), "scenario.base_classes", "11", "1..10")
    set_parameter(project, "scenario.base_classes", 8)
    set_parameter(project, "scenario.increment", 3)
    refused(project.stage("splits"), "scenario.increment", "3", "1..2")
    nothing_left(project, "splits")


def test_a_class_that_no_image_of_its_step_shows_is_warned_of_before_training(project: Project, world: Path) -> None:
    set_parameter(project, "data.root", str(world))
    assert project.stage("prepare").code == 0
    set_parameter(project, "setting", "disjoint")
    outcome = project.stage("splits")
    assert outcome.code == 0
    (warning,) = [line for line in outcome.text.splitlines() if line.startswith("warning: ")]
    assert "in the disjoint setting. These classes cannot be learned: choose another setting" in warning


def test_a_step_without_an_image_is_refused_before_training(project: Project, world: Path) -> None:
    set_parameter(project, "data.root", str(world))
    assert project.stage("prepare").code == 0
    set_parameter(project, "data.holdout", 0.99)
    refused(project.stage("splits"), "step 0 has no training image", "data.holdout holds out all", "smaller share")
    nothing_left(project, "splits")


def foreign_value(world: Path) -> str:
    path = sorted((world / "SegmentationClassAug").glob("train*.png"))[3]
    mask = np.array(Image.open(path))
    mask[0, 0] = 77
    Image.fromarray(mask).save(path)
    return path.stem


def drop_saliency(world: Path) -> str:
    path = sorted((world / "saliency_map").glob("train*.png"))[5]
    path.unlink()
    return path.stem


@pytest.mark.parametrize("damage", [foreign_value, drop_saliency])
def test_a_damaged_dataset_is_refused_by_the_name_of_the_image(
    project: Project, damaged: Path, damage: Callable[[Path], str]
) -> None:
    """`tests/datasets/test_scan.py` has all kinds of damage."""
    image_id = damage(damaged)
    refused(project.stage("prepare"), image_id, "1 of 8")
    nothing_left(project, "index")


def test_images_that_cannot_be_used_are_left_out_if_the_parameters_say_so(project: Project, damaged: Path) -> None:
    image_id = foreign_value(damaged)
    set_parameter(project, "data.on_error", "skip")
    outcome = project.stage("prepare")
    assert outcome.code == 0, outcome.text
    assert "shapes: 6 training and 2 validation images" in outcome.text
    assert "train: 1 images cannot be used and are left out" in outcome.text
    index = ImageIndex.read(project.root / "data" / "index" / "train.json")
    about = DatasetInfo.read(project.root / "data" / "index" / "info.json")
    assert list(about.train_skipped) == [image_id]
    assert "77" in about.train_skipped[image_id]
    assert about.val_skipped == {}
    assert len(index.rows) == 5
    assert image_id not in index.present


def test_more_faults_than_a_line_holds_are_listed_in_a_file(project: Project, damaged: Path) -> None:
    for path in (damaged / "JPEGImages").iterdir():
        path.unlink()
    (damaged / "ImageSets" / "Segmentation" / "val.txt").write_text("val_00000\nval_00001\nval_00002\n")
    refused(project.stage("prepare"), "9 of 9", "and 1 more, all listed in data/cache/unusable_images.txt")
    listed = (project.root / "data" / "cache" / "unusable_images.txt").read_text().splitlines()
    assert [line.partition(": ")[0] for line in listed] == [
        *(f"train_0000{number}" for number in range(6)),
        *(f"val_0000{number}" for number in range(3)),
    ]


def test_where_only_saliency_maps_are_missing_doing_without_is_the_first_way_out(
    project: Project, damaged: Path
) -> None:
    drop_saliency(damaged)
    refused(project.stage("prepare"), "train_00005.png. Do without saliency maps with -S data.saliency=none, mend")
    foreign_value(damaged)
    refused(project.stage("prepare"), ". Mend the files", "on_error=skip, or do without saliency maps with -S data.sal")
    shutil.rmtree(damaged / "saliency_map")
    set_parameter(project, "data.on_error", "skip")
    refused(project.stage("prepare"), "6 of 6", "No train image is left. Do without saliency maps")


def test_a_relative_mirror_lies_in_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment of the queue runs in a copy of the project."""
    set_parameter(project, "data.name", "voc")
    set_parameter(project, "data.shapes", None)
    set_parameter(project, "data.root", "voc")
    set_parameter(project, "data.mirror", "archives")
    set_parameter(project, "data.download", True)
    (project.root / "copy").mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(name, f"copy/{name}")
    monkeypatch.chdir("copy")
    monkeypatch.setenv("DVC_ROOT", "..")
    refused(project.stage("prepare"), "../archives/VOCtrainval_11-May-2012.tar is not a file")


def test_a_missing_previous_checkpoint_is_an_error_that_names_it(project: Project, world: Path) -> None:
    set_parameter(project, "data.root", str(world))
    assert project.stage("prepare").code == 0
    assert project.stage("splits").code == 0
    refused(project.stage("train_step", "1"), "data/checkpoints/step_0", "missing")
    nothing_left(project, "checkpoints")
