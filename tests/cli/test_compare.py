"""`ssul compare` draws what several networks predict in the same images, and refuses what it cannot compare."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.config.paths import Layout
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths
from ssul.datasets.catalog import find_dataset
from ssul.datasets.scan import ImageProblem, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.shapes.world import draw_world
from ssul.errors import UserError
from tests.project import composed_text

SHAPES = find_dataset("shapes")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose `prepare` has run: three drawn validation images."""
    root = tmp_path / "project"
    layout = Layout(root)
    list(draw_world(layout.drawn, seed=0, train=1, val=3, height=48, width=64, palette=SHAPES.palette))
    layout.params.write_text(composed_text(), encoding="utf-8")
    layout.pipeline.touch()
    places, ids = ImagePaths(layout.drawn, SHAPES.val), [f"val_{number:05}" for number in range(3)]
    classes = len(SHAPES.classes)
    rows = scan_images(places, ids, classes=classes, values=SHAPES.values, saliency=False, cache=ScanCache(None))
    found = tuple(row for row in rows if not isinstance(row, ImageProblem))
    ImageIndex("shapes", SHAPES.classes, SHAPES.val, SHAPES.values, found).write(layout.index("val"))
    DatasetInfo(SHAPES.palette, {}, {}).write(layout.dataset_info)
    return root


def compare(project: Path, *words: object) -> str:
    given = ["compare", *map(str, words), "--root", str(project)]
    return CliRunner().invoke(app, given, catch_exceptions=False).output


def test_a_row_for_each_image_and_a_column_for_each_network(
    project: Path, onlooker: Callable[..., Path], tmp_path: Path
) -> None:
    network = onlooker()
    sizes = []
    for networks, images in (([network], "val_00001"), ([f"a={network}", f"b={network}"], "val_00000, val_00002")):
        compare(project, *networks, "--images", images, "--out", tmp_path / "x" / "seen.png")
        with Image.open(tmp_path / "x" / "seen.png") as drawn:
            sizes.append(drawn.size)
            pixels = np.asarray(drawn.convert("RGB")).reshape(-1, 3)
    assert sizes[1][0] > sizes[0][0]
    assert sizes[1][1] > sizes[0][1]
    assert {SHAPES.palette[key] for key in (1, 2, 3)} <= set(map(tuple, pixels.tolist()))  # the classes of the network


def test_images_and_networks_that_do_not_fit_are_named(
    project: Path, onlooker: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no validation image is called elsewhere; one is val_00000"):
        compare(project, onlooker(), "--images", "val_00000,elsewhere")
    index = Layout(project).index("val")
    index.write_text(index.read_text().replace('"star"', '"sun"'), encoding="utf-8")
    with pytest.raises(UserError, match="mine has learned star"):
        compare(project, f"mine={onlooker()}")
