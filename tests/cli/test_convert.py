"""`ssul convert` as it is typed."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from ssul.cli.app import app
from ssul.errors import UserError
from tests.project import PROJECT

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 4, "height": 2}],
    "categories": [{"id": 1, "name": "hat"}, {"id": 2, "name": "ball"}],
    "annotations": [{"image_id": 1, "category_id": 2, "segmentation": {"size": [2, 4], "counts": [6, 2]}}],
}


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with photographs and annotations of every kind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "colours").mkdir()
    Image.new("RGB", (4, 2)).save(tmp_path / "photos" / "a.jpg")
    Image.fromarray(np.array([[[0, 0, 0]] * 3 + [[9, 9, 9]]] * 2, dtype=np.uint8)).save(
        tmp_path / "colours" / "a_L.png"
    )
    (tmp_path / "colours.txt").write_text("0 0 0 background\n1 1 1 hat\n9 9 9 ball\n")
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    labelme = Path(__file__).parents[1] / "convert" / "labelme_6.3.1.json"
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "a.json").write_bytes(labelme.read_bytes())
    Image.new("RGB", (20, 16)).save(tmp_path / "shapes" / "a.png")
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["convert", *words])


@pytest.mark.parametrize(
    "words",
    [
        ("coco", "coco.json", "--images", "photos"),
        ("colours", "colours", "--images", "photos", "--colours", "colours.txt", "--ending", "_L.png"),
    ],
)
def test_a_dataset_and_its_description_are_written_and_counted(workshop: Path, words: tuple[str, ...]) -> None:
    result = run(*words, "--out", "data/toys")
    assert result.exit_code == 0, result.output
    assert np.asarray(Image.open(workshop / "data" / "toys" / "masks" / "a.png")).tolist() == [[0, 0, 0, 2]] * 2
    described = yaml.safe_load((workshop / "conf" / "data" / "toys.yaml").read_text())
    assert (described["name"], described["root"]) == ("toys", "data/toys")
    assert described["custom"]["classes"] == ["hat", "ball"]
    assert described.keys() == yaml.safe_load((PROJECT / "conf" / "data" / "ccp.yaml").read_text()).keys()
    assert "    2 ball                           1 images  25.00 % of the pixels" in result.output
    assert "warning: no image shows hat" in result.output


def test_both_splits_of_labelme_have_the_labels_of_both(workshop: Path) -> None:
    (workshop / "more").mkdir()
    (workshop / "more" / "b.png").write_bytes((workshop / "shapes" / "a.png").read_bytes())
    bird = {"label": "bird", "points": [[0, 0], [3, 0], [3, 3]], "shape_type": "polygon"}
    (workshop / "more" / "b.json").write_text(json.dumps({"imagePath": "b.png", "shapes": [bird]}))
    assert run("labelme", "shapes", "--val", "more", "--out", "toys").exit_code == 0
    described = yaml.safe_load((workshop / "conf" / "data" / "toys.yaml").read_text())
    assert described["custom"]["classes"] == ["bird", "cat", "dog"]


def test_outside_a_project_the_description_is_printed(workshop: Path) -> None:
    (workshop / "conf" / "data").rmdir()
    output = run("coco", "coco.json", "--images", "photos", "--out", "toys").output
    assert "put this into conf/data/toys.yaml of your project" in output
    assert "val_share: 0.2" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("coco", "nothing.json", "--images", "photos", "--out", "x"), "the annotation file nothing.json is missing"),
        (("coco", "coco.json", "--images", "shapes", "--out", "x"), "a.jpg: no image at shapes/a.jpg"),
        (("coco", "coco.json", "--images", "photos", "--out", "voc"), "'voc' cannot name a dataset of your own"),
        (("coco", "coco.json", "--images", "photos", "--out", "x-1"), "'x-1' cannot name a dataset of your own"),
        (("labelme", "photos", "--out", "x"), "photos holds no .json"),
        (("labelme", "shapes", "--classes", "cat", "--out", "x"), "the label 'dog' is not one of the classes"),
        (
            ("colours", "colours", "--images", "photos", "--colours", "colours.txt", "--out", "x"),
            "a_L: no image a_L.jpg",
        ),
        (("mat", "photos", "--images", "photos", "--classes", "a", "--out", "x"), "holds no files that end with .mat"),
    ],
)
def test_what_cannot_be_converted_is_named_and_nothing_is_written(
    workshop: Path, words: tuple[str, ...], message: str
) -> None:
    result = run(*words)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert not (workshop / "x").exists()
    assert not list((workshop / "conf" / "data").iterdir())


def test_a_description_that_exists_is_not_replaced(workshop: Path) -> None:
    (workshop / "conf" / "data" / "toys.yaml").write_text("mine")
    result = run("coco", "coco.json", "--images", "photos", "--out", "toys")
    assert "toys.yaml exists: choose another --name" in str(result.exception)
    assert not (workshop / "toys").exists()
