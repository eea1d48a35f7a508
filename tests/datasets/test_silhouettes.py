"""The dataset of made-up classes that the small backbone is pretrained on."""

from pathlib import Path

import numpy as np
from PIL import Image

from ssul.datasets.catalog import find_dataset
from ssul.datasets.shapes.objects import draw_object
from ssul.datasets.shapes.silhouettes import silhouette
from ssul.datasets.shapes.world import draw_world, looks_of

SPEC = find_dataset("silhouettes")


def stamp(number: int) -> bytes:
    """An object of a class, drawn from the same random numbers for all classes."""
    patch, mask = draw_object(silhouette(number), 20.0, (0.5, -0.8), np.random.default_rng(3))
    return patch.tobytes() + mask.tobytes()


def test_a_class_is_made_up_from_its_number_alone_and_no_two_look_alike() -> None:
    stamps = {stamp(number) for number in range(1, len(SPEC.classes) + 1)}
    assert len(stamps) == len(SPEC.classes) == 48
    assert stamp(5) == stamp(5)


def test_no_class_is_one_of_the_embedded_world() -> None:
    assert not set(SPEC.classes) & set(find_dataset("shapes").classes)
    assert not {look.draw for look in looks_of("silhouettes", 48)} & {look.draw for look in looks_of("shapes", 10)}


def test_the_scenes_show_all_classes(tmp_path: Path) -> None:
    looks = looks_of("silhouettes", 48)
    how = {"seed": 1, "train": 120, "val": 0, "height": 32, "width": 48}
    ids = list(draw_world(tmp_path, **how, palette=SPEC.palette, looks=looks))
    masks = [np.array(Image.open(tmp_path / "SegmentationClassAug" / f"{image_id}.png")) for image_id in ids]
    assert set(np.unique(np.concatenate(masks)).tolist()) == {*range(49), 255}
