"""Colours and background come from the project, then from the catalog, then from Pascal VOC."""

import json
from pathlib import Path

import pytest

from ssul.config.paths import Layout
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.datasets.catalog import find_dataset
from ssul.errors import UserError
from ssul.labels.colours import voc_colours
from ssul.prediction.look import LOOK, Look, look_of

OWN = {1: "road", 2: "tree"}
COLOURS = ((9, 9, 9), (1, 2, 3), (4, 5, 6))


def project(root: Path) -> Layout:
    """A project whose data have two classes and no background."""
    layout = Layout(root)
    files, values = SplitFiles("images/{id}.jpg", "masks/{id}.png"), MaskEncoding(background=False)
    ImageIndex("own", ("road", "tree"), files, values, ()).write(layout.index("val"))
    DatasetInfo(COLOURS, {}, {}).write(layout.dataset_info)
    layout.checkpoint(3).mkdir(parents=True)
    return layout


def test_a_checkpoint_in_its_project_looks_as_its_evaluation_does(tmp_path: Path) -> None:
    assert look_of(project(tmp_path).checkpoint(3), OWN) == Look(COLOURS, background=False)


def test_a_checkpoint_that_left_its_project_or_whose_data_changed_does_not(tmp_path: Path) -> None:
    usual = Look(voc_colours(3), background=True)
    (tmp_path / "step_3").mkdir()
    assert look_of(tmp_path / "step_3", OWN) == usual
    assert look_of(project(tmp_path / "project").checkpoint(3), {1: "tree", 2: "road"}) == usual


def test_a_file_beside_the_checkpoint_decides(tmp_path: Path) -> None:
    layout = project(tmp_path)
    stored = Look(voc_colours(5), background=True)
    stored.write(layout.checkpoint(3) / LOOK)
    assert look_of(layout.checkpoint(3), OWN) == stored


@pytest.mark.parametrize("palette", [[[0, 0, 0]] * 2, [[0, 0, 0]] * 256, [[0, 0, 256]] * 3, [[0, 0]] * 3, "red"])
def test_a_file_that_has_no_colour_for_each_class_is_refused(palette: object, tmp_path: Path) -> None:
    (tmp_path / LOOK).write_text(json.dumps({"palette": palette, "background": True}))
    with pytest.raises(UserError, match=r"the look of a checkpoint, .* is damaged"):
        look_of(tmp_path, OWN)


def test_classes_of_the_catalog_are_known_anywhere(tmp_path: Path) -> None:
    shapes = find_dataset("shapes")
    assert look_of(tmp_path, {2: "star", 10: "gem"}) == Look(shapes.palette, background=True)
