"""The embedded dataset: the same bytes every time, Pascal VOC's layout, and the properties that experiments need."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ssul.datasets.catalog import find_dataset
from ssul.datasets.shapes.world import draw_world
from ssul.labels.colours import VOID_COLOUR

PALETTE = find_dataset("shapes").palette
TRAIN, VAL, HEIGHT, WIDTH = 60, 4, 96, 128
DRAW = """
import sys
from pathlib import Path
from ssul.datasets.catalog import find_dataset
from ssul.datasets.shapes.world import draw_world
palette = find_dataset("shapes").palette
list(draw_world(Path(sys.argv[1]), seed=5, train=3, val=2, height=48, width=64, palette=palette))
"""


def draw(
    root: Path, *, seed: int = 5, train: int = 3, val: int = 2, height: int = 48, width: int = 64
) -> Iterator[str]:
    return draw_world(root, seed=seed, train=train, val=val, height=height, width=width, palette=PALETTE)


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.array(image)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    list(draw(root, seed=1, train=TRAIN, val=VAL, height=HEIGHT, width=WIDTH))
    return root


@pytest.fixture(scope="module")
def masks(world: Path) -> dict[str, NDArray[np.uint8]]:
    return {path.stem: pixels(path) for path in sorted((world / "SegmentationClassAug").iterdir())}


def test_two_processes_draw_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", DRAW, str(tmp_path / name)], check=True)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 3 * 3 + 2 * 2 + 2


def test_another_seed_draws_another_world(tmp_path: Path) -> None:
    for seed, name in ((1, "one"), (2, "two")):
        list(draw(tmp_path / name, seed=seed, train=1))
    image = "JPEGImages/train_00000.jpg"
    assert digests(tmp_path / "one")[image] != digests(tmp_path / "two")[image]


def test_an_image_does_not_depend_on_how_many_are_drawn(tmp_path: Path) -> None:
    list(draw(tmp_path / "few", train=2, val=1))
    list(draw(tmp_path / "many", train=5, val=3))
    few, many = digests(tmp_path / "few"), digests(tmp_path / "many")
    shared = [name for name in few if not name.startswith("ImageSets")]
    assert shared
    assert all(few[name] == many[name] for name in shared)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (96, 128), (96, 96), (192, 256)])
def test_every_file_has_the_requested_size_and_mode(tmp_path: Path, height: int, width: int) -> None:
    list(draw(tmp_path, train=1, val=0, height=height, width=width))
    modes = {"JPEGImages/train_00000.jpg": "RGB", "SegmentationClassAug/train_00000.png": "P"}
    modes["saliency_map/train_00000.png"] = "L"
    for name, mode in modes.items():
        with Image.open(tmp_path / name) as image:
            assert (image.size, image.mode) == ((width, height), mode)


def test_masks_have_the_given_palette_and_vocs_colour_of_void(world: Path) -> None:
    with Image.open(world / "SegmentationClassAug" / "train_00000.png") as image:
        colours = np.array(image.getpalette()).reshape(-1, 3)
    assert [tuple(colour) for colour in colours[: len(PALETTE)].tolist()] == list(PALETTE)
    assert tuple(colours[255].tolist()) == VOID_COLOUR


def test_masks_hold_background_ten_classes_and_thin_void_between_any_two_things(
    masks: dict[str, NDArray[np.uint8]],
) -> None:
    every = np.stack(list(masks.values()))
    assert set(np.unique(every).tolist()) == {*range(11), 255}
    assert 0.02 < np.mean(every == 255) < 0.08
    for mask in masks.values():
        for one, other in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1]), (mask[1:, 1:], mask[:-1, :-1])):
            assert np.all((one == other) | (one == 255) | (other == 255))


def test_images_show_several_classes_and_every_class_is_common_and_large(masks: dict[str, NDArray[np.uint8]]) -> None:
    present = np.array([[np.any(mask == class_id) for class_id in range(1, 11)] for mask in masks.values()])
    assert 2.3 < present.sum(axis=1).mean() < 3.5
    assert present.mean(axis=0).min() > 0.12
    assert present.mean(axis=0).max() < 0.5
    areas = [np.sum(mask == class_id) for mask in masks.values() for class_id in range(1, 11) if class_id in mask]
    assert np.median(areas) > 0.02 * HEIGHT * WIDTH


def test_training_images_have_saliency_that_resembles_the_objects_and_is_imperfect(
    world: Path, masks: dict[str, NDArray[np.uint8]]
) -> None:
    drawn = sorted((world / "saliency_map").iterdir())
    train = (world / "ImageSets" / "Segmentation" / "train_aug.txt").read_text().split()
    assert [path.stem for path in drawn] == train
    both = either = missed = 0
    for path in drawn:
        saliency, mask = pixels(path), masks[path.stem]
        assert set(np.unique(saliency).tolist()) <= {0, 255}
        truth, guess, known = mask != 0, saliency > 0, mask != 255
        both += int(np.sum(truth & guess & known))
        either += int(np.sum((truth | guess) & known))
        missed += sum(float(np.mean(guess[mask == class_id])) < 0.1 for class_id in range(1, 11) if class_id in mask)
    assert 0.5 < both / either < 0.9
    assert missed > 0


def test_each_id_is_yielded_when_its_files_exist_and_the_lists_name_all(tmp_path: Path) -> None:
    ids = []
    for image_id in draw(tmp_path):
        assert (tmp_path / "JPEGImages" / f"{image_id}.jpg").is_file()
        assert (tmp_path / "SegmentationClassAug" / f"{image_id}.png").is_file()
        ids.append(image_id)
    assert ids == ["train_00000", "train_00001", "train_00002", "val_00000", "val_00001"]
    lists = tmp_path / "ImageSets" / "Segmentation"
    assert (lists / "train_aug.txt").read_text() == "".join(f"{image_id}\n" for image_id in ids[:3])
    assert (lists / "val.txt").read_text() == "".join(f"{image_id}\n" for image_id in ids[3:])


def test_an_interrupted_drawing_removes_the_lists_of_an_earlier_one(tmp_path: Path) -> None:
    list(draw(tmp_path))
    drawing = draw(tmp_path, seed=6)
    next(drawing)
    assert not list((tmp_path / "ImageSets" / "Segmentation").glob("*.txt"))


def test_a_palette_of_another_length_and_small_images_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 colours, not 11"):
        draw_world(tmp_path, seed=0, train=1, val=0, height=48, width=64, palette=PALETTE[:3])
    with pytest.raises(ValueError, match="too small"):
        draw(tmp_path, height=16)
