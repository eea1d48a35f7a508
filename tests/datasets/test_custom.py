"""Which dataset the parameters mean, and that an own one works from its description to the training target."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

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
    own = parse_custom_dataset({**TOWN, **changes})
    assert own is not None
    return own


def data(name: str, saliency: str) -> DataParams:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"name": name, "saliency": saliency}
    return parse_params(params).data


# --- which one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CATALOG)
def test_without_a_description_the_catalog_is_meant(name: str) -> None:
    assert resolve_dataset(name, None) is CATALOG[name]


def test_a_name_that_is_neither_described_nor_known_is_refused_with_both_ways_out() -> None:
    with pytest.raises(UserError, match=r"'town', which is not in the catalog: choose .*voc.*or describe an own"):
        resolve_dataset("town", None)


@pytest.mark.parametrize("name", CATALOG)
def test_a_name_that_the_catalog_has_cannot_be_described_anew(name: str) -> None:
    with pytest.raises(UserError, match=f"data.name is '{name}', which the catalog has: give .* another name"):
        resolve_dataset(name, described())


def test_a_description_becomes_a_data_set() -> None:
    town = resolve_dataset("town", described(background=False, first_value=2, void=0))
    assert (town.name, town.classes) == ("town", ("house", "tree", "road"))
    assert town.train == town.val == SplitFiles("photos/{id}.jpg", "masks/{id}.png", list="train.txt")
    assert town.values == MaskEncoding(background=False, first=2, void=0)
    assert (town.val_share, town.val_seed) == (0.2, 7)
    assert town.palette == voc_colours(4)
    assert town.archives == ()


def test_a_validation_split_of_its_own_and_colours_are_taken_over() -> None:
    colours = [[9, 8, 7], [1, 2, 3], [4, 5, 6], [0, 0, 0]]
    place = {"image": "val/{id}.jpg", "mask": "val/{id}.png", "saliency": None, "list": None}
    town = resolve_dataset("town", described(palette=colours, val=place, val_share=None))
    assert town.palette == ((9, 8, 7), (1, 2, 3), (4, 5, 6), (0, 0, 0))
    assert town.val == SplitFiles("val/{id}.jpg", "val/{id}.png")
    assert town.val_share is None


# --- saliency ---------------------------------------------------------------------------------------------------------


def test_maps_are_read_where_there_are_any_and_they_are_wanted() -> None:
    assert uses_saliency(data("voc", "maps"), CATALOG["voc"])
    assert not uses_saliency(data("voc", "none"), CATALOG["voc"])
    assert not uses_saliency(data("ade", "none"), CATALOG["ade"])
    salient = described(train={**TOWN["train"], "saliency": "salient/{id}.png"})
    assert uses_saliency(data("town", "maps"), resolve_dataset("town", salient))


@pytest.mark.parametrize("name", ["ade", "town"])
def test_maps_that_do_not_exist_are_refused_with_the_parameter_that_does_without(name: str) -> None:
    known = CATALOG.get(name) or resolve_dataset("town", described())
    with pytest.raises(UserError, match=rf"{name} has no saliency maps: choose -S data\.saliency=none"):
        uses_saliency(data(name, "maps"), known)


# --- from the description to the target -------------------------------------------------------------------------------


def indexed(book: "HandmadeDataset", own: CustomDataset, *ids: str) -> ImageIndex:
    town = resolve_dataset("town", own)
    found = scan_images(
        book.folders, ids, classes=len(town.classes), values=town.values, saliency=False, cache=ScanCache(None)
    )
    rows = tuple(row for row in found if isinstance(row, IndexRow))
    assert len(rows) == len(ids)
    return ImageIndex("town", town.classes, town.train, town.values, rows)


@pytest.fixture
def own_book(book: "HandmadeDataset") -> "HandmadeDataset":
    return type(book)(ImagePaths(book.root, SplitFiles("photos/{id}.jpg", "masks/{id}.png")))


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
    own_book: "HandmadeDataset", tmp_path: Path, values: dict[str, Any], raw: list[int | None]
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

    labeled = SegmentationDataset.of(index, own_book.root, saliency=False).read("town/a")
    assert labeled.mask.tolist() == [list(ids)]
    labels = LabelSpace((tuple(range(1, 200)), tuple(range(200, 254))), unknown=True, activation="sigmoid")
    target = labels.encode(labeled.mask, labeled.saliency, labels.classes)
    assert (target == VOID).tolist() == [[class_id == VOID for class_id in ids]]
    known = torch.tensor([1 <= class_id < VOID for class_id in ids])
    assert sorted(target[0, known].tolist()) == list(range(2, 255))
