"""Ground truth and prediction of each validation image that is scored, small: they show where a network is wrong.

    masks.zip            truth/ID.png and prediction/ID.png, grey images of dataset ids; 255 is void

Their pixels are pixels of the masks, never mixtures, so that their counts estimate those of the whole image.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssul.config.paths import SMALL_MASKS
from ssul.errors import UserError
from ssul.io.atomic import replace_file

LONGEST_SIDE = 192
"""Pixels of the longer side of an image that was not smaller."""
_KINDS = ("truth", "prediction")

SmallMasks = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]
"""By image: ground truth and prediction, (H, W) each."""


def write_masks(folder: Path, masks: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> None:
    """Writes masks.zip into an evaluation folder, the same bytes for the same masks."""
    with replace_file(folder / SMALL_MASKS) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for image_id, pair in masks.items():
            for kind, mask in zip(_KINDS, pair, strict=True):
                png = io.BytesIO()
                Image.fromarray(mask).save(png, format="PNG")
                archive.writestr(zipfile.ZipInfo(f"{kind}/{image_id}.png"), png.getvalue())  # which has a fixed date


def read_masks(folder: Path) -> SmallMasks:
    """Reads what `write_masks` wrote.

    Raises:
        UserError: if it is missing or damaged.
    """
    path = folder / SMALL_MASKS
    try:
        with zipfile.ZipFile(path) as archive:
            first, second = (
                {_id(name): name for name in archive.namelist() if name.startswith(kind)} for kind in _KINDS
            )
            return {one: (_pixels(archive, first[one]), _pixels(archive, second[one])) for one in first}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"the masks {path} cannot be read ({error}): run `dvc repro`") from None


def _id(name: str) -> str:
    return name.partition("/")[2].removesuffix(".png")


def _pixels(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    with archive.open(name) as file, Image.open(file, formats=("PNG",)) as image:
        return np.asarray(image)
