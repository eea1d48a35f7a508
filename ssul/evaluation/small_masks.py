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

SmallMasks = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]
"""By image: ground truth and prediction, (H, W) each."""


def write_masks(folder: Path, masks: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> None:
    """Writes masks.zip into an evaluation folder, the same bytes for the same masks."""
    with replace_file(folder / SMALL_MASKS) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for image_id, pair in masks.items():
            for kind, mask in zip(("truth", "prediction"), pair, strict=True):
                png = io.BytesIO()
                Image.fromarray(mask).save(png, format="PNG")
                archive.writestr(zipfile.ZipInfo(_name(kind, image_id)), png.getvalue())  # its date is fixed


def read_masks(folder: Path) -> SmallMasks:
    """Reads what `write_masks` wrote.

    Raises:
        UserError: if it is missing or damaged.
    """
    path = folder / SMALL_MASKS
    try:
        with zipfile.ZipFile(path) as archive:
            ids = [name[len("truth/") : -len(".png")] for name in archive.namelist() if name.startswith("truth/")]
            return {one: (_pixels(archive, "truth", one), _pixels(archive, "prediction", one)) for one in ids}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"the masks {path} cannot be read ({error}): run `dvc repro`") from None


def _pixels(archive: zipfile.ZipFile, kind: str, image_id: str) -> NDArray[np.uint8]:
    with archive.open(_name(kind, image_id)) as file, Image.open(file, formats=("PNG",)) as image:
        return np.asarray(image)


def _name(kind: str, image_id: str) -> str:
    return f"{kind}/{image_id}.png"
