"""The facts about datasets are consistent."""

import hashlib

import pytest

from ssul.config.custom_dataset import MAX_CLASSES
from ssul.data.layout import MaskEncoding
from ssul.datasets.catalog import CATALOG, DatasetSpec, find_dataset
from ssul.errors import UserError
from ssul.labels.colours import VOID_COLOUR, voc_colours
from ssul.scenario.class_orders import published_orders
from ssul.scenario.order import ScenarioName

VOC, ADE = find_dataset("voc"), find_dataset("ade")
DATASETS = pytest.mark.parametrize("known", CATALOG.values(), ids=CATALOG)


@DATASETS
def test_background_and_every_class_have_their_own_name_and_colour(known: DatasetSpec) -> None:
    assert find_dataset(known.name) is known
    assert len(known.palette) == 1 + len(known.classes) <= 1 + MAX_CLASSES
    assert len({*known.palette, VOID_COLOUR}) == len(known.palette) + 1
    assert all(0 <= channel <= 255 for colour in known.palette for channel in colour)
    assert len({"background", *known.classes}) == 1 + len(known.classes)


@DATASETS
def test_every_published_order_names_each_class_once(known: DatasetSpec) -> None:
    natural = list(range(1, 1 + len(known.classes)))
    orders = published_orders(known.name)
    assert all(sorted(order) == natural for order in orders.values())
    assert len({tuple(natural), *orders.values()}) == 1 + len(orders)


@DATASETS
def test_mask_values_are_ids_and_every_file_has_its_own_template(known: DatasetSpec) -> None:
    assert all(value == class_id for value, class_id in known.values.ids(len(known.classes)).items())
    assert known.values == MaskEncoding()
    for files in (known.train, known.val):
        templates = [one for one in (files.image, files.mask, files.saliency) if one]
        assert len(set(templates)) == len(templates)
        assert all(template.count("{id}") == 1 for template in templates)


@DATASETS
def test_archives_have_an_address_a_hash_and_separate_folders(known: DatasetSpec) -> None:
    parts = [part for archive in known.archives for part in archive.parts]
    assert len({part.folder for part in parts}) == len(parts)
    assert all(part.suffix for part in parts)
    assert known.used_archives(saliency=True) == known.archives
    used = {part.folder for archive in known.used_archives(saliency=False) for part in archive.parts}
    assert used == {part.folder for part in parts} - {"saliency_map"}
    assert ("saliency_map" in {part.folder for part in parts}) == (known is VOC)
    for archive in known.archives:
        assert archive.url.startswith(("http://", "https://"))
        assert archive.url.rpartition("/")[2] == archive.name
        if archive.hash is not None:
            algorithm, digits = archive.hash.split(":")
            assert len(digits) == 2 * hashlib.new(algorithm).digest_size


def test_the_published_letters_are_vocs_b_to_w_and_ades_b_and_c() -> None:
    assert "".join(published_orders("voc")) == "bcdefghijklmnopqrstuvw"
    assert "".join(published_orders("ade")) == "bc"
    assert published_orders("shapes") == published_orders("a custom one") == {}


def test_vocs_order_b_is_the_published_one() -> None:
    assert published_orders("voc")["b"] == (12, 9, 20, 7, 15, 8, 14, 16, 5, 19, 4, 1, 13, 2, 11, 17, 3, 6, 18, 10)


@pytest.mark.parametrize("letter", ["b", "c"])
def test_ades_published_sets_nest_so_that_one_order_serves_all(letter: str) -> None:
    learned = {
        sizes: [
            set(step.new) for step in ScenarioName.parse(f"ade_{sizes}").scenario(published_orders("ade")[letter]).steps
        ]
        for sizes in ("100-50", "100-10", "50-50")
    }
    (base, rest), (first, second, last) = learned["100-50"], learned["50-50"]
    assert first | second == base == learned["100-10"][0]
    assert last == rest == set().union(*learned["100-10"][1:])
    assert [len(classes) for classes in learned["100-10"]] == [100, 10, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("letter", "first", "increments"),
    [
        ("b", [1, 9, 14, 18, 22], ["11 16 50 64 66 73 89 92 145 146", "17 20 59 68 83 94 102 122 127 137"]),
        ("c", [5, 10, 11, 12, 13], ["3 4 7 18 39 64 73 101 113 137", "15 21 72 75 88 93 103 107 122 150"]),
    ],
)
def test_ades_orders_begin_and_end_as_published(letter: str, first: list[int], increments: list[str]) -> None:
    """MiB's 50b and 50c at their first step, 100-10b and 100-10c at their first and last increments."""
    order = published_orders("ade")[letter]
    assert list(order[:5]) == first
    assert [set(order[100:110]), set(order[140:])] == [set(map(int, ids.split())) for ids in increments]


@pytest.mark.parametrize(
    ("known", "classes", "names"),
    [
        (ADE, 150, {0: "background", 1: "wall", 13: "person", 75: "computer", 150: "flag"}),
        (VOC, 20, {0: "background", 1: "aeroplane", 15: "person", 20: "tvmonitor"}),
    ],
)
def test_ids_mean_what_the_dataset_says(known: DatasetSpec, classes: int, names: dict[int, str]) -> None:
    assert len(known.classes) == classes
    assert {class_id: known.class_name(class_id) for class_id in names} == names


def test_voc_colours_are_those_of_its_annotations() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    assert {class_id: VOC.palette[class_id] for class_id in known} == known
    assert voc_colours(256)[255] == VOID_COLOUR


def test_an_unknown_dataset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match=r"data\.name is 'cityscapes'.*choose shapes, silhouettes, voc, ade, or describe"
    ):
        find_dataset("cityscapes")
