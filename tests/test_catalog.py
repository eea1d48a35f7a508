"""The facts about data sets hang together."""

import pytest

from ssul.catalog import CATALOG, VOID_COLOUR, DataSet, data_set, learning_order, voc_colours
from ssul.errors import UserError

SHAPES, VOC = data_set("shapes"), data_set("voc")
DATA_SETS = pytest.mark.parametrize("known", CATALOG.values(), ids=CATALOG)


@DATA_SETS
def test_background_and_every_class_have_a_colour_of_their_own(known: DataSet) -> None:
    assert len(known.palette) == 1 + len(known.classes)
    assert len({*known.palette, VOID_COLOUR}) == len(known.palette) + 1
    assert all(0 <= channel <= 255 for colour in known.palette for channel in colour)


@DATA_SETS
def test_class_names_differ_and_none_is_the_background(known: DataSet) -> None:
    assert len({"background", *known.classes}) == 1 + len(known.classes)


@DATA_SETS
def test_every_published_order_names_each_class_once(known: DataSet) -> None:
    natural = learning_order(known, "natural")
    assert natural == tuple(range(1, 1 + len(known.classes)))
    for letter in known.orders:
        assert sorted(learning_order(known, letter)) == list(natural)
        assert learning_order(known, letter) != natural


@DATA_SETS
def test_a_data_set_is_found_by_its_name(known: DataSet) -> None:
    assert data_set(known.name) is known


def test_voc_ids_mean_what_voc_says() -> None:
    assert len(VOC.classes) == 20
    assert [VOC.class_name(class_id) for class_id in (0, 1, 15, 20)] == [
        "background",
        "aeroplane",
        "person",
        "tvmonitor",
    ]


def test_voc_colours_are_those_of_its_annotations() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    assert {class_id: VOC.palette[class_id] for class_id in known} == known
    assert voc_colours(256)[255] == VOID_COLOUR


def test_ids_can_be_listed_in_any_order() -> None:
    assert learning_order(SHAPES, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) == (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)


def test_an_unknown_data_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"data\.name is 'cityscapes'.*choose shapes, voc"):
        data_set("cityscapes")


def test_an_unknown_order_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"scenario\.order is 'q'.*voc.*choose natural, b, or list the ids 1\.\.20"):
        learning_order(VOC, "q")


def test_an_order_of_another_data_set_is_refused() -> None:
    with pytest.raises(UserError, match=r"scenario\.order is 'b'.*shapes.*choose natural"):
        learning_order(SHAPES, "b")


def test_a_wrong_list_of_ids_is_refused_with_what_is_wrong_in_it() -> None:
    with pytest.raises(UserError, match=r"1\.\.10 once: missing \[1, 2\], unknown \[11\], repeated \[3\]"):
        learning_order(SHAPES, [3, 3, 4, 5, 6, 7, 8, 9, 10, 11])
