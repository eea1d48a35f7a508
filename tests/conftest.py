"""What several test files share: one thread, the same examples every time, and hand-drawn datasets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from numpy.typing import ArrayLike
from PIL import Image

from ssul.data.layout import ImagePaths
from ssul.datasets.catalog import find_dataset

pytest_plugins = ["tests.answers", "tests.onlooker", "tests.workplace"]
torch.set_num_threads(1)
# `pytest --hypothesis-profile=default` looks for new examples instead.
# A machine that is busy draws slowly; that is no fault of a test.
settings.register_profile(
    "same-examples", deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same-examples")


@dataclass(frozen=True)
class HandmadeDataset:
    """A data root whose images a test draws by hand, in VOC's layout unless the folders say another one."""

    folders: ImagePaths

    @property
    def root(self) -> Path:
        """The data root."""
        return self.folders.root

    def add(self, image_id: str, mask: ArrayLike, *, saliency: ArrayLike | None = None, image: object = None) -> None:
        """Writes a palette mask, a photograph (by default the mask in shades of grey) and perhaps a saliency map."""
        values = np.array(mask, dtype=np.uint8)
        photograph = np.stack([values * 10] * 3, axis=-1) if image is None else np.array(image, dtype=np.uint8)
        picture = Image.fromarray(values)
        picture.putpalette([channel for value in range(256) for channel in (value, 255 - value, 128)])
        self._save(self.folders.mask(image_id), picture)
        self._save(self.folders.image(image_id), Image.fromarray(photograph))
        if saliency is not None:
            self._save(self.folders.saliency(image_id), Image.fromarray(np.array(saliency, dtype=np.uint8)))

    def list_images(self, name: str, ids: Sequence[str]) -> None:
        """Writes an image list where VOC has it."""
        path = self.root / "ImageSets" / "Segmentation" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{image_id}\n" for image_id in ids), encoding="utf-8")

    @staticmethod
    def _save(path: Path, picture: Image.Image) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)


@pytest.fixture
def book(tmp_path: Path) -> HandmadeDataset:
    """An empty picture book."""
    return HandmadeDataset(ImagePaths(tmp_path / "book", find_dataset("voc").train))
