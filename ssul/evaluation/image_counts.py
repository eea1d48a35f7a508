"""Pixel counts of each validation image that is scored: every score over a set of images is made from their sums.

    image_counts.json    {id: [[class, right, true, predicted], ...]}

With them images can be drawn again (bootstrap) or ranked, without the images and without the network.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssul.config.paths import IMAGE_COUNTS
from ssul.io.atomic import write_text
from ssul.io.strict_json import read_json

ClassCounts = tuple[int, int, int, int]
"""A class as its place in `Results.names`, and its pixels: right, of the ground truth, predicted."""
ImageCounts = dict[str, list[ClassCounts]]
"""By image; classes that an image neither shows nor is predicted to show are left out."""


def write_counts(folder: Path, counts: Mapping[str, Sequence[ClassCounts]]) -> None:
    """Writes image_counts.json into an evaluation folder, one line an image."""
    lines = ",\n".join(f" {json.dumps(image_id)}: {json.dumps(counts[image_id])}" for image_id in counts)
    write_text(folder / IMAGE_COUNTS, f"{{\n{lines}\n}}\n")


def read_counts(folder: Path) -> ImageCounts:
    """Reads what `write_counts` wrote.

    Raises:
        UserError: if it is missing or damaged.
    """
    return read_json(
        folder / IMAGE_COUNTS, ImageCounts, what="the pixel counts of each image", way_out="run `dvc repro`"
    )
