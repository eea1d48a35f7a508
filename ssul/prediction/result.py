"""The prediction of one image."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssul.errors import UserError
from ssul.io.atomic import replace_file, write_json
from ssul.labels.colours import Colour, id_colours
from ssul.prediction.drawing import enlargement, legend_entries, paint, with_legend

JPEG_QUALITY = 92


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network sees in an image.

    Attributes:
        image: uint8 (H, W, 3), RGB; upright.
        mask: uint8 (H, W), dataset ids: 0 is the background.
        names: of the background and of each learned class, by dataset id.
        palette: RGB 0..255 for each dataset id.
        unknown_score: float32 (H, W) in 0..1, the score of "something, none of my classes"; None if it was not asked.
        unknown: bool (H, W), where this is said: pixels of no class whose unknown score is above the background's;
            likewise.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    names: Mapping[int, str]
    palette: tuple[Colour, ...]
    unknown_score: NDArray[np.float32] | None = None
    unknown: NDArray[np.bool_] | None = None

    @cached_property
    def classes(self) -> dict[str, float]:
        """The share of the pixels in 0..1 of each class that is seen (background included), the greatest first."""
        shares: dict[str, float] = {}
        for key, share in self._shares.items():  # a class may have the background's name
            shares[self.names[key]] = shares.get(self.names[key], 0.0) + share
        return shares

    def overlay(self, *, legend: bool = True) -> Image.Image:
        """The classes over the image, the unknown hatched if it was asked.

        Args:
            legend: whether names and shares stand below; small images are enlarged then. Without a legend the image
                has the size of the image.
        """
        if not legend:
            return Image.fromarray(paint(self.image, self.mask, self.palette, self.unknown))
        times = enlargement(self.mask.shape)
        height, width = self.mask.shape
        image = np.asarray(
            Image.fromarray(self.image).resize((times * width, times * height), Image.Resampling.BICUBIC)
        )
        mask = self.mask.repeat(times, 0).repeat(times, 1)
        unknown = None if self.unknown is None else self.unknown.repeat(times, 0).repeat(times, 1)
        entries = legend_entries(self._shares, self.names, self.palette, self._unknown_share)
        return with_legend(paint(image, mask, self.palette, unknown), entries)

    def mask_image(self) -> Image.Image:
        """The mask as a palette image, which keeps the ids and shows the colours."""
        image = Image.fromarray(self.mask)
        image.putpalette(id_colours(self.palette))
        return image

    def unknown_image(self) -> Image.Image:
        """The score of the unknown as a grey image: 255 is a score of 1.

        Raises:
            UserError: if it was not asked.
        """
        if self.unknown_score is None:
            raise UserError("the unknown was not asked: predict with unknown=True")
        return Image.fromarray((255 * self.unknown_score).round().astype(np.uint8))

    def summary(self) -> dict[str, object]:
        """The size and the classes as JSON."""
        height, width = self.mask.shape
        content: dict[str, object] = {
            "width": width,
            "height": height,
            "classes": [
                {"id": key, "name": self.names[key], "share": round(share, 6)} for key, share in self._shares.items()
            ],
        }
        if self._unknown_share is not None:
            content["unknown"] = {"share": round(self._unknown_share, 6)}
        return content

    def save(self, folder: Path, name: str) -> None:
        """Writes masks/NAME.png, overlays/NAME.jpg and classes/NAME.json below a folder.

        The unknown's score, if it was asked, becomes unknown/NAME.png. Each file appears whole or not at all.
        """
        images = {f"masks/{name}.png": self.mask_image(), f"overlays/{name}.jpg": self.overlay()}
        if self.unknown_score is not None:
            images[f"unknown/{name}.png"] = self.unknown_image()
        for place, image in images.items():
            with replace_file(folder / place) as temporary:
                if place.endswith(".jpg"):
                    image.save(temporary, format="JPEG", quality=JPEG_QUALITY)
                else:
                    image.save(temporary, format="PNG")
        write_json(folder / f"classes/{name}.json", self.summary())

    @cached_property
    def _shares(self) -> dict[int, float]:
        """The share of each dataset id that the mask shows, the greatest first."""
        counts = np.bincount(self.mask.ravel(), minlength=256)
        shown = sorted(np.flatnonzero(counts).tolist(), key=lambda key: -counts[key])
        return {key: float(counts[key]) / self.mask.size for key in shown}

    @cached_property
    def _unknown_share(self) -> float | None:
        return None if self.unknown is None else float(self.unknown.mean())
