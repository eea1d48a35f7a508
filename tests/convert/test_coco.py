"""COCO's files, with pycocotools as the writer of run lengths and the judge of outlines."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from ssul.convert.annotations import Annotations
from ssul.convert.coco import read_coco
from ssul.data.image_files import UnreadableImageError
from ssul.errors import UserError

HEIGHT, WIDTH = 8, 10
SQUARE = [1.0, 1.0, 7.0, 1.0, 7.0, 7.0, 1.0, 7.0]


def compressed(pixels: NDArray[np.bool_]) -> dict[str, Any]:
    """As `pycocotools.mask.encode` writes it into JSON."""
    encoded = coco_masks.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def uncompressed(pixels: NDArray[np.bool_]) -> dict[str, Any]:
    flat = pixels.flatten(order="F")
    runs = np.diff([0, *np.flatnonzero(np.diff(flat)) + 1, flat.size]).tolist()
    return {"size": list(pixels.shape), "counts": [0, *runs] if flat[0] else runs}


def content(*segmentations: Any, **changes: Any) -> dict[str, Any]:
    """A file of one image whose annotations are of the categories 7, 3, 7, 3, …"""
    annotations = [
        {"id": 40 + place, "image_id": 5, "category_id": 7 - 4 * (place % 2), "segmentation": one, "iscrowd": 0}
        for place, one in enumerate(segmentations)
    ]
    return {
        "images": [{"id": 5, "file_name": "town/a.jpg", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 7, "name": "star"}, {"id": 3, "name": "ball"}],
        "annotations": annotations,
        **changes,
    }


def read(root: Path, file: Any) -> Annotations:
    (root / "coco.json").write_text(json.dumps(file), encoding="utf-8")
    return read_coco(root / "coco.json", root)


def painted(root: Path, *segmentations: Any, **changes: Any) -> list[list[int]]:
    (image,) = read(root, content(*segmentations, **changes)).images
    return image.paint(HEIGHT, WIDTH).tolist()


def test_classes_are_the_categories_by_their_ids_and_the_background_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, content()).classes == ("ball", "star")
    named = content(categories=[{"id": 7, "name": "star"}, {"id": 3, "name": "background"}])
    assert read(tmp_path, named).classes == ("star",)
    (image,) = read(tmp_path, content()).images
    assert (image.name, image.image) == ("town/a.jpg", tmp_path / "town/a.jpg")


@given(arrays(np.bool_, (HEIGHT, WIDTH)))
def test_run_lengths_with_and_without_compression_come_back_to_the_pixel(
    tmp_path_factory: pytest.TempPathFactory, pixels: NDArray[np.bool_]
) -> None:
    root = tmp_path_factory.mktemp("coco")
    for encoded in (compressed(pixels), uncompressed(pixels)):
        assert painted(root, encoded) == np.where(pixels, 2, 0).tolist()


corner = st.tuples(st.floats(-3, WIDTH + 3), st.floats(-3, HEIGHT + 3))


@given(st.lists(st.lists(corner, min_size=3, max_size=6), min_size=1, max_size=3))
def test_polygons_in_and_beyond_the_image_are_what_pycocotools_draws(
    tmp_path_factory: pytest.TempPathFactory, polygons: list[list[tuple[float, float]]]
) -> None:
    root = tmp_path_factory.mktemp("coco")
    file = content([[number for point in polygon for number in point] for polygon in polygons])
    (image,) = read(root, file).images
    judge = COCO()
    judge.dataset = file
    judge.createIndex()
    assert image.paint(HEIGHT, WIDTH).tolist() == (2 * judge.annToMask(file["annotations"][0])).tolist()


def test_what_is_not_taken_as_it_is_is_counted(tmp_path: Path) -> None:
    file = content([SQUARE], [[-1.0, 5.0, 2.0, 5.0, 2.0, 12.0]], [[9.0, 4.0] * 3])
    file["annotations"][0]["iscrowd"] = 1
    found = read(tmp_path, file)
    found.images[0].paint(HEIGHT, WIDTH)
    assert +found.notes == {
        "outlines hold no pixel of their image and are left out": 1,
        "outlines are cut off at the edge of their image": 1,
        "crowds are painted as their class, below all other outlines": 1,
    }


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([], "annotation 40 has no outline, perhaps only a box"),
        (None, "annotation 40 has no outline"),
        ([[1, 1, 2, 2]], "a polygon of 4 numbers, not of 3 points"),
        ([[1, 1, 2, 2, 3]], "a polygon of 5 numbers"),
        ([[1, 1, 2, 2, 3, 1e9]], "lies far outside the image: is it of another size?"),
        ({"size": [8, 9], "counts": [72]}, "has run lengths of 9x8 pixels"),
        ({"size": [8, 10], "counts": [3, 78]}, "run lengths that are not of 10x8 pixels"),
        ({"size": [8, 10], "counts": [-1, 81]}, "run lengths that are not of 10x8 pixels"),
        ({"size": [8, 10], "counts": "zzz"}, "has damaged run lengths"),  # pycocotools would read beyond its memory
        ({"size": [8, 10], "counts": "X5X5"}, "run lengths of more pixels than the image"),
    ],
)
def test_outlines_that_cannot_be_drawn_are_named(tmp_path: Path, segmentation: Any, words: str) -> None:
    with pytest.raises(UnreadableImageError, match=words):
        painted(tmp_path, segmentation)


def test_annotations_of_another_size_are_named(tmp_path: Path) -> None:
    (image,) = read(tmp_path, content()).images
    with pytest.raises(
        UnreadableImageError, match="the image is 8x10 pixels as it is stored, its annotations are of 10x8"
    ):
        image.paint(WIDTH, HEIGHT)


IMAGE = {"id": 5, "file_name": "a.jpg", "width": 1, "height": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": []}, "no image, |have annotations of images that it does not list"),
        ({"categories": []}, "annotations of categories that it does not list, no category"),
        ({"images": [IMAGE, IMAGE]}, "two images with one id, two images with one file_name"),
        ({"categories": [{"id": 7, "name": "a"}, {"id": 3, "name": "a"}]}, "two categories with one name"),
        ({"images": [{**IMAGE, "file_name": "../a.jpg"}]}, r"images outside --images.*'\.\./a\.jpg'"),
        ({"images": [{**IMAGE, "width": "1"}]}, "damaged"),
        ({"annotations": [{"image_id": 5, "segments_info": []}]}, "panoptic format: convert instances"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(tmp_path, content([SQUARE], [SQUARE], **changes))
