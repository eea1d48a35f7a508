"""Predictions as images: the classes over the image, the unknown hatched, and a legend below."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ssul.labels.colours import Colour, id_colours
from ssul.labels.ids import BACKGROUND_ID

Pixels = NDArray[np.uint8]
Swatch = Colour | None
"""The colour of a class in the legend; None is the hatching of the unknown."""
_OPACITY = 0.55
_PAPER, _INK, _GREY = (255, 255, 255), (34, 38, 46), (107, 114, 128)
_LIGHT, _DARK = np.array((255, 255, 255)), np.array((20, 16, 48))
"""The hatching's two stripes: together they show on bright and on dark images."""
_LONGEST_NAME = 28
_READABLE = 400
"""Pixels of the longer side."""


def paint(image: Pixels, mask: Pixels, palette: Sequence[Colour], unknown: NDArray[np.bool_] | None = None) -> Pixels:
    """Lays the colours of the classes over an image, with their outlines, and hatches the unknown.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 (H, W), dataset ids; the background stays the image.
        palette: RGB 0..255 for each id.
        unknown: bool (H, W); None hatches nothing.

    Returns:
        uint8 (H, W, 3).
    """
    colours = np.array(id_colours(palette), dtype=np.float32).reshape(256, 3)[mask]
    opacity = np.where(mask == BACKGROUND_ID, 0.0, _OPACITY)[..., None].astype(np.float32)
    thickness = _thickness(mask.shape)
    opacity[_outline(mask, thickness) & (mask != BACKGROUND_ID)] = 1.0
    painted = image * (1 - opacity) + colours * opacity
    if unknown is not None:
        light = unknown & _stripes(mask.shape, thickness)
        painted[unknown & ~light] = 0.55 * painted[unknown & ~light] + 0.45 * _DARK
        painted[light] = 0.2 * painted[light] + 0.8 * _LIGHT
        painted[unknown & _outline(unknown, thickness)] = _LIGHT
    return painted.round().astype(np.uint8)


def with_legend(image: Pixels, entries: Sequence[tuple[str, Swatch]]) -> Image.Image:
    """The image with a legend below, as wide as the image or as its longest entry.

    Args:
        image: uint8 (H, W, 3).
        entries: text and swatch.
    """
    height, width = image.shape[:2]
    text = min(64, max(12, max(height, width) // 42))
    font, swatch, gap = _font(text), round(1.1 * text), round(0.6 * text)
    lengths = [swatch + gap // 2 + round(font.getlength(words)) for words, _ in entries]
    across = max([width, *(length + 2 * gap for length in lengths)])
    places, left, top = [], gap, height + gap
    for length in lengths:
        if left > gap and left + length + gap > across:
            left, top = gap, top + swatch + gap
        places.append((left, top))
        left += length + 2 * gap
    sheet = Image.new("RGB", (across, top + swatch + gap), _PAPER)
    sheet.paste(Image.fromarray(image), ((across - width) // 2, 0))
    pen = ImageDraw.Draw(sheet)
    for (left, top), (words, colour) in zip(places, entries, strict=True):
        sheet.paste(Image.fromarray(_filled(swatch, colour, _thickness((height, width)))), (left, top))
        pen.rectangle((left, top, left + swatch - 1, top + swatch - 1), outline=_GREY)
        pen.text((left + swatch + gap // 2, top + swatch / 2), words, fill=_INK, font=font, anchor="lm")
    return sheet


def legend_entries(
    shares: Mapping[int, float], names: Mapping[int, str], palette: Sequence[Colour], unknown: float | None
) -> list[tuple[str, Swatch]]:
    """The legend of a prediction: its classes, the greatest first, then the unknown and the rest of the background.

    Args:
        shares: of the pixels, by dataset id.
        names, palette: by dataset id.
        unknown: the share that is marked as unknown, part of the background's; None if it is not shown.
    """
    classes = {key: share for key, share in shares.items() if key != BACKGROUND_ID}
    ordered = sorted(classes, key=lambda key: -classes[key])
    entries: list[tuple[str, Swatch]] = [(_words(names[key], shares[key]), palette[key]) for key in ordered]
    if unknown is not None:
        entries.append((_words("unknown", unknown), None))
    rest = shares.get(BACKGROUND_ID, 0.0) - (unknown or 0.0)
    return [*entries, (_words(names[BACKGROUND_ID], rest), _PAPER)] if rest > 0 or not entries else entries


def enlargement(size: tuple[int, ...]) -> int:
    """How many times an image is enlarged, so that its classes and their legend are readable together."""
    return -(-_READABLE // max(size)) if max(size) < _READABLE else 1


def legend_name(name: str) -> str:
    """A class name as one short line that can be drawn, whatever a checkpoint calls the class."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 3]}..."


def _words(name: str, share: float) -> str:
    return f"{legend_name(name)}  {'< 0.1' if 0 < share < 0.001 else f'{100 * share:.1f}'} %"


def _filled(side: int, colour: Swatch, thickness: int) -> Pixels:
    square = np.full((side, side, 3), colour or (150, 150, 160), dtype=np.uint8)
    if colour is None:
        stripes = _stripes((side, side), max(1, thickness))
        square[stripes], square[~stripes] = _LIGHT, 0.55 * square[~stripes] + 0.45 * _DARK
    return square


def _thickness(size: tuple[int, ...]) -> int:
    """Of lines, in pixels: 1 for small images, 3 for photographs of 1200 pixels."""
    return max(1, round(max(size) / 400))


def _stripes(size: tuple[int, ...], thickness: int) -> NDArray[np.bool_]:
    """Diagonal stripes, bool (H, W)."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows + columns) % (5 * thickness) < 2 * thickness


def _outline(areas: NDArray[np.generic], thickness: int) -> NDArray[np.bool_]:
    """The pixels within so many pixels of another value, bool (H, W); the border of the image is none."""
    found = np.zeros(areas.shape, dtype=np.bool_)
    for shift in range(1, thickness + 1):
        down, across = areas[shift:] != areas[:-shift], areas[:, shift:] != areas[:, :-shift]
        found[shift:] |= down
        found[:-shift] |= down
        found[:, shift:] |= across
        found[:, :-shift] |= across
    return found


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the project's figures, which comes with matplotlib."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
