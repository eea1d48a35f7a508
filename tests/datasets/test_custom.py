"""The dataset that the parameters name, and a custom dataset from its description to the training target."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssul.config.custom_dataset import CustomDataset
from ssul.config.load import parse_custom_dataset, parse_params
from ssul.config.schema import DataParams
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding, SplitFiles
from ssul.datasets.catalog import CATALOG
from ssul.datasets.custom import resolve_dataset, uses_saliency
from ssul.datasets.scan import scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.errors import UserError
from ssul.labels.colours import voc_colours
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from tests.project import composed

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

PROJECT = Path(__file__).parents[2]
TOWN: dict[str, Any] = {
    "classes": ["house", "tree", "road"],
    "train": {"image": "photos/{id}.jpg", "mask": "masks/{id}.png", "list": "train.txt"},
    "val_share": 0.2,
    "val_seed": 7,
}


def described(**changes: Any) -> CustomDataset:
    custom = parse_custom_dataset({**TOWN, **changes})
    assert custom is not None
    return custom


def data(name: str, saliency: str) -> DataParams:
    params = composed()
    params["data"] |= {"name": name, "saliency": saliency}
    return parse_params(params).data


@pytest.mark.parametrize("name", CATALOG)
def test_a_name_is_in_the_catalog_or_is_described_but_not_both(name: str) -> None:
    assert resolve_dataset(name, None) is CATALOG[name]
    with pytest.raises(UserError, match=r"'town', which is not in the catalog: choose .*voc.*or describe your own"):
        resolve_dataset("town", None)
    with pytest.raises(UserError, match=f"data.name is '{name}', which the catalog has: give .* another name"):
        resolve_dataset(name, described())


def test_a_description_becomes_a_dataset() -> None:
    town = resolve_dataset("town", described(background=False, first_value=2, void=0))
    assert (town.name, town.classes) == ("town", ("house", "tree", "road"))
    assert town.train == town.val == SplitFiles("photos/{id}.jpg", "masks/{id}.png", list="train.txt")
    assert town.values == MaskEncoding(background=False, first=2, void=0)
    assert (town.val_share, town.val_seed) == (0.2, 7)
    assert town.palette == voc_colours(4)
    assert town.archives == ()


def test_a_validation_split_and_colours_are_taken_over() -> None:
    colours = [[9, 8, 7], [1, 2, 3], [4, 5, 6], [0, 0, 0]]
    place = {"image": "val/{id}.jpg", "mask": "val/{id}.png", "saliency": None, "list": None}
    town = resolve_dataset("town", described(palette=colours, val=place, val_share=None))
    assert town.palette == ((9, 8, 7), (1, 2, 3), (4, 5, 6), (0, 0, 0))
    assert town.val == SplitFiles("val/{id}.jpg", "val/{id}.png")
    assert town.val_share is None


def test_saliency_maps_are_used_if_the_parameters_say_so() -> None:
    assert uses_saliency(data("voc", "maps"), CATALOG["voc"])
    assert not uses_saliency(data("voc", "none"), CATALOG["voc"])
    assert not uses_saliency(data("ade", "none"), CATALOG["ade"])
    salient = described(train={**TOWN["train"], "saliency": "salient/{id}.png"})
    assert uses_saliency(data("town", "maps"), resolve_dataset("town", salient))


@pytest.mark.parametrize("name", ["ade", "town"])
def test_missing_saliency_maps_are_refused_with_the_way_out(name: str) -> None:
    known = CATALOG.get(name) or resolve_dataset("town", described())
    with pytest.raises(UserError, match=rf"{name} has no saliency maps: choose -S data\.saliency=none"):
        uses_saliency(data(name, "maps"), known)


@pytest.mark.parametrize(
    ("values", "raw"),
    [
        ({}, [0, *range(1, 254), 255]),
        ({"void": 254}, [0, *range(1, 254), 254]),
        ({"background": False, "first_value": 0}, [None, *range(253), 255]),
        ({"background": False, "first_value": 1, "void": 0}, [None, *range(1, 254), 0]),
        ({"background": False, "first_value": 3, "void": 0}, [None, *range(3, 256), 0]),
    ],
)
def test_253_classes_stay_different_from_the_mask_to_the_target(
    book: "HandmadeDataset", tmp_path: Path, values: dict[str, Any], raw: list[int | None]
) -> None:
    classes = [f"class {number}" for number in range(1, 254)]
    meaning = [0, *range(1, 254), VOID]
    pixels, ids = zip(
        *((value, class_id) for value, class_id in zip(raw, meaning, strict=True) if value is not None), strict=True
    )
    town = resolve_dataset("town", described(classes=classes, **values))
    dataset = type(book)(ImagePaths(book.root, SplitFiles("photos/{id}.jpg", "masks/{id}.png")))
    dataset.add("town/a", [pixels], image=np.zeros((1, len(pixels), 3)))
    (row,) = scan_images(
        dataset.folders, ["town/a"], classes=253, values=town.values, saliency=False, cache=ScanCache(None)
    )
    assert isinstance(row, IndexRow)
    ImageIndex("town", town.classes, town.train, town.values, (row,)).write(tmp_path / "train.json")
    index = ImageIndex.read(tmp_path / "train.json")
    assert index.rows[0].present == tuple(range(1, 254))
    assert index.rows[0].void == 1

    labeled = SegmentationDataset.of(index, dataset.root, saliency=False).read("town/a")
    assert labeled.mask.tolist() == [list(ids)]
    labels = LabelSpace((tuple(range(1, 200)), tuple(range(200, 254))), unknown=True, activation="sigmoid")
    target = labels.encode(labeled.mask, labeled.saliency, labels.classes)
    assert (target == VOID).tolist() == [[class_id == VOID for class_id in ids]]
    known = torch.tensor([1 <= class_id < VOID for class_id in ids])
    assert sorted(target[0, known].tolist()) == list(range(2, 255))


# --- a dataset that extends a network ---------------------------------------------------------------------------------


@pytest.fixture
def known(tmp_path: Path) -> str:
    """A checkpoint of a network that knows trees and cars."""
    description = {"meaning": {"class_names": ["tree", "car"]}, "architecture": {"backbone": "small"}}
    (tmp_path / "model.json").write_text(json.dumps(description))
    return str(tmp_path)


def test_the_classes_of_a_network_come_first_and_one_that_the_masks_show_too_is_one_class(known: str) -> None:
    town = resolve_dataset("town", described(extends=known, palette=[(0, 0, 9), (1, 1, 1), (2, 2, 2), (3, 3, 3)]))
    assert (town.classes, town.known) == (("tree", "car", "house", "road"), 2)
    assert town.values.ids(len(town.classes)) == {0: 0, 1: 3, 2: 1, 3: 4, 255: VOID}  # house, tree, road
    assert town.palette == ((0, 0, 9), (2, 2, 2), voc_colours(5)[2], (1, 1, 1), (3, 3, 3))


def test_a_network_that_knows_every_class_already_is_refused(known: str) -> None:
    with pytest.raises(UserError, match="the network knows all of tree already: name a new class"):
        resolve_dataset("town", described(extends=known, classes=["tree"]))


@pytest.mark.parametrize("content", [None, "[]", "{", '{"meaning": {"class_names": [1]}, "architecture": {}}', "{}"])
def test_a_folder_without_a_networks_description_is_refused_with_the_parameter(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(UserError, match=r"data.custom.extends: the description .*: name the folder of a checkpoint"):
        resolve_dataset("town", described(extends=str(tmp_path)))


def test_a_checkpoint_that_the_next_run_overwrites_is_refused_with_the_command_that_copies_it() -> None:
    with pytest.raises(UserError, match=r"overwrites: copy it first \(cp -rL data/checkpoints/step_2 "):
        resolve_dataset("town", described(extends="data/checkpoints/step_2"))


# --- colour-coded masks -----------------------------------------------------------------------------------------------

COLOURS = {"background": [0, 0, 0], "house": [200, 0, 0], "tree": [0, 200, 0], "road": [9, 9, 9]}


def test_colours_are_read_from_the_masks_to_the_index_and_the_training_images(
    book: "HandmadeDataset", tmp_path: Path
) -> None:
    town = resolve_dataset("town", described(colours={**COLOURS, "void": [255, 255, 255]}))
    assert town.palette == tuple(map(tuple, COLOURS.values()))
    paths = ImagePaths(book.root, town.train)
    type(book)(paths).add("a", [[0, 0, 0, 0, 0]])
    colours = [*COLOURS.values(), [255, 255, 255]]
    Image.fromarray(np.array([colours], dtype=np.uint8)).save(paths.mask("a"))
    (row,) = scan_images(paths, ["a"], classes=3, values=town.values, saliency=False, cache=ScanCache(None))
    assert isinstance(row, IndexRow)
    assert (row.pixels, row.void) == ({0: 1, 1: 1, 2: 1, 3: 1}, 1)
    ImageIndex("town", town.classes, town.train, town.values, (row,)).write(tmp_path / "train.json")
    index = ImageIndex.read(tmp_path / "train.json")
    assert SegmentationDataset.of(index, book.root, saliency=False).read("a").mask.tolist() == [[0, 1, 2, 3, VOID]]


def test_masks_of_values_have_an_index_that_knows_nothing_of_colours(tmp_path: Path) -> None:
    ImageIndex("voc", ("cat",), SplitFiles("{id}.jpg", "{id}.png"), MaskEncoding(), ()).write(tmp_path / "train.json")
    assert "colours" not in (tmp_path / "train.json").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colours": COLOURS | {"street": [1, 1, 1]}}, "colours names street, valid are background, house, tree, road"),
        ({"colours": {"house": [1, 1, 1]}}, "colours has no colour for background, tree, road"),
        ({"colours": COLOURS | {"tree": [200, 0, 0]}}, r"colours has the colour \[200, 0, 0\] twice"),
        ({"colours": COLOURS | {"tree": [256, 0, 0]}}, r"data\.custom\.colours\.tree\.0 is 256"),
        ({"colours": COLOURS, "first_value": 3}, "leave out first_value and void"),
        ({"colours": COLOURS, "background": False}, "colours names background, valid are house, tree, road and void"),
        ({"colours": COLOURS | {"void": [1, 1, 1]}, "classes": ["house", "tree", "void"]}, "a class is called void"),
    ],
)
def test_colours_that_are_not_one_for_each_class_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        described(**changes)
