"""The predictions of example images as MLflow's images over steps.

The names are those that MLflow's `log_image` gives, but for the time and the random part: those follow from the image,
so that a run that is logged again holds each image once.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from PIL import Image

from ssul.report.style import evenly_spaced

_MOST = 8  # example images
_LONGEST_SIDE = 256  # pixels of the small copy


def write_step_images(folder: Path, examples: Sequence[Path], steps: int) -> None:
    """Writes the predictions after each step, and a small copy of each.

    Args:
        folder: exists.
        examples: the folders of the example images.
        steps: their number.
    """
    for place in (examples[position] for position in evenly_spaced(len(examples), _MOST)):
        key = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in place.name)
        for step in range(steps):
            name = f"predictions~{key}+step+{step}+timestamp+{step}+{uuid5(NAMESPACE_URL, f'{place.name} {step}')}"
            with Image.open(place / f"step_{step}.png", formats=("PNG",)) as mask:
                mask.save(folder / f"{name}.png")
                mask.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.NEAREST)
                mask.convert("RGB").save(folder / f"{name}+compressed.webp", lossless=True)
