"""Which data set the parameters mean, and that an own one works from its description to the training target."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from ssul.config.custom_dataset import Described
from ssul.config.load import parse_custom_dataset, parse_params
from ssul.config.schema import Data
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import Files, Folders, MaskValues
from ssul.datasets.catalog import CATALOG
from ssul.datasets.custom import data_set_of, has_maps
from ssul.datasets.scan import examine_images
from ssul.datasets.scan_cache import Memo
from ssul.errors import UserError
from ssul.labels.colours import voc_colours
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace

if TYPE_CHECKING:
    from tests.conftest import PictureBook

PROJECT = Path(__file__).parents[2]
TOWN: dict[str, Any] = {
    "classes": ["house", "tree", "road"],
    "train": {"image": "photos/{id}.jpg", "mask": "masks/{id}.png", "list": "train.txt"},
    "val_share": 0.2,
    "val_seed": 7,
}


def described(**changes: Any) -> Described:
    own = parse_custom_dataset({**TOWN, **changes})
    assert own is not None
    return own


def data(name: str, saliency: str) -> Data:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"name": name, "saliency": saliency}
    return parse_params(params).data


# --- which one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CATALOG)
def test_without_a_description_the_catalog_is_meant(name: str) -> None:
    assert data_set_of(name, None) is CATALOG[name]


def test_a_name_that_is_neither_described_nor_known_is_refused_with_both_ways_out() -> None:
    with pytest.raises(UserError, match=r"'town', which is not in the catalog: choose .*voc.*or describe an own"):
        data_set_of("town", None)


@pytest.mark.parametrize("name", CATALOG)
def test_a_name_that_the_catalog_has_cannot_be_described_anew(name: str) -> None:
    with pytest.raises(UserError, match=f"data.name is '{name}', which the catalog has: give .* another name"):
        data_set_of(name, described())


def test_a_description_becomes_a_data_set() -> None:
    town = data_set_of("town", described(background=False, first_value=2, void=0))
    assert (town.name, town.classes) == ("town", ("house", "tree", "road"))
    assert town.train == town.val == Files("photos/{id}.jpg", "masks/{id}.png", list="train.txt")
    assert town.values == MaskValues(background=False, first=2, void=0)
    assert (town.val_share, town.val_seed) == (0.2, 7)
    assert town.palette == voc_colours(4)
    assert town.archives == ()


def test_a_validation_split_of_its_own_and_colours_are_taken_over() -> None:
    colours = [[9, 8, 7], [1, 2, 3], [4, 5, 6], [0, 0, 0]]
    place = {"image": "val/{id}.jpg", "mask": "val/{id}.png", "saliency": None, "list": None}
    town = data_set_of("town", described(palette=colours, val=place, val_share=None))
    assert town.palette == ((9, 8, 7), (1, 2, 3), (4, 5, 6), (0, 0, 0))
    assert town.val == Files("val/{id}.jpg", "val/{id}.png")
    assert town.val_share is None


# --- saliency ---------------------------------------------------------------------------------------------------------


def test_maps_are_read_where_there_are_any_and_they_are_wanted() -> None:
    assert has_maps(data("voc", "maps"), CATALOG["voc"])
    assert not has_maps(data("voc", "none"), CATALOG["voc"])
    assert not has_maps(data("ade", "none"), CATALOG["ade"])
    salient = described(train={**TOWN["train"], "saliency": "salient/{id}.png"})
    assert has_maps(data("town", "maps"), data_set_of("town", salient))


@pytest.mark.parametrize("name", ["ade", "town"])
def test_maps_that_do_not_exist_are_refused_with_the_parameter_that_does_without(name: str) -> None:
    known = CATALOG.get(name) or data_set_of("town", described())
    with pytest.raises(UserError, match=rf"{name} has no saliency maps: choose -S data\.saliency=none"):
        has_maps(data(name, "maps"), known)


# --- from the description to the target -------------------------------------------------------------------------------


def indexed(book: "PictureBook", own: Described, *ids: str) -> ImageIndex:
    town = data_set_of("town", own)
    found = examine_images(
        book.folders, ids, classes=len(town.classes), values=town.values, saliency=False, memo=Memo(None)
    )
    rows = tuple(row for row in found if isinstance(row, IndexRow))
    assert len(rows) == len(ids)
    return ImageIndex("town", town.classes, town.train, town.values, rows)


@pytest.fixture
def own_book(book: "PictureBook") -> "PictureBook":
    return type(book)(Folders(book.root, Files("photos/{id}.jpg", "masks/{id}.png")))


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
def test_253_classes_are_told_apart_from_the_mask_to_the_target(
    own_book: "PictureBook", tmp_path: Path, values: dict[str, Any], raw: list[int | None]
) -> None:
    classes = [f"class {number}" for number in range(1, 254)]
    meaning = [0, *range(1, 254), VOID]
    pixels, ids = zip(
        *((value, class_id) for value, class_id in zip(raw, meaning, strict=True) if value is not None), strict=True
    )
    own_book.add("town/a", [pixels], image=np.zeros((1, len(pixels), 3)))
    indexed(own_book, described(classes=classes, **values), "town/a").write(tmp_path / "train.json")
    index = ImageIndex.read(tmp_path / "train.json")
    assert index.rows[0].present == tuple(range(1, 254))
    assert index.rows[0].void == 1

    picture = SegmentationDataset.of(index, own_book.root, saliency=False).read("town/a")
    assert picture.mask.tolist() == [list(ids)]
    labels = LabelSpace((tuple(range(1, 200)), tuple(range(200, 254))), unknown=True, activation="sigmoid")
    target = labels.encode(picture.mask, picture.saliency, labels.classes)
    assert (target == VOID).tolist() == [[class_id == VOID for class_id in ids]]
    known = torch.tensor([1 <= class_id < VOID for class_id in ids])
    assert sorted(target[0, known].tolist()) == list(range(2, 255))
