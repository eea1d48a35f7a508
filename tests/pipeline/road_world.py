"""A drawn world like CamVid: eleven classes from value 0, void 11, and no background."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = (*("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),)
VOID_VALUE = len(CLASSES)
_TILES, _SIDE = (4, 5), 16  # rows and columns; pixels
_COLOURS = np.random.default_rng(0).integers(30, 226, (len(CLASSES) + 1, 3))


def draw_road_world(root: Path, *, train: int, val: int) -> None:
    """Draws SPLIT/ID.png and SPLIT_labels/ID.png for `train` and `val`, 80 x 64 pixels of tiles.

    Args:
        root: gets the folders.
        train, val: how many images.
    """
    for split, count in (("train", train), ("val", val)):
        for folder in (split, f"{split}_labels"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng((len(split), number))
            values = rng.integers(0, VOID_VALUE + 1, _TILES).repeat(_SIDE, axis=0).repeat(_SIDE, axis=1)
            photograph = np.clip(_COLOURS[values] + rng.normal(0, 12, (*values.shape, 3)), 0, 255)
            Image.fromarray(photograph.astype(np.uint8)).save(root / split / f"{number:04d}.png")
            Image.fromarray(values.astype(np.uint8)).save(root / f"{split}_labels" / f"{number:04d}.png")
