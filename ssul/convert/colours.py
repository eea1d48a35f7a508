"""Colour-coded masks, and files that list the colours of classes."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ssul.convert.annotations import AnnotatedImage, Annotations, images_of_masks
from ssul.data.colour_masks import read_colour_mask
from ssul.data.image_files import MAX_BYTES, UnreadableImageError
from ssul.errors import UserError
from ssul.labels.colours import Colour, is_colour
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME, VOID, VOID_NAME

_BETWEEN = r"[\s,;]+"
_COLOUR = _BETWEEN.join(rf"(?P<{channel}>\d{{1,3}})" for channel in ("red", "green", "blue"))
_LINES = (
    re.compile(rf"{_COLOUR}{_BETWEEN}(?P<name>\S.*)"),
    re.compile(rf"(?P<name>.*[^\s,;]){_BETWEEN}{_COLOUR}"),
)


def read_colours(masks: Path, images: Path, colours: Mapping[str, Colour], *, ending: str) -> Annotations:
    """Reads colour-coded PNGs.

    Args:
        masks: their folder.
        images: the folder of the images.
        colours: of each class, in the order of their values, of `background` and of `void`.
        ending: of the masks' names.

    Raises:
        UserError: if there are no masks.
    """
    pairs, broken = images_of_masks(masks, ending, images)
    special = {BACKGROUND_NAME: BACKGROUND_ID, VOID_NAME: VOID}
    classes = tuple(name for name in colours if name not in special)
    value_of = special | {name: value for value, name in enumerate(classes, start=1)}
    values = {colour: value_of[name] for name, colour in colours.items()}
    found = tuple(AnnotatedImage(name, image, partial(_paint, path, values)) for path, (name, image) in pairs.items())
    return Annotations(classes, found, broken)


def _paint(path: Path, values: Mapping[Colour, int], height: int, width: int) -> NDArray[np.uint8]:
    if path.stat().st_size > MAX_BYTES:
        raise UnreadableImageError(f"its mask is a file of more than {MAX_BYTES} bytes, which is not read")
    found = read_colour_mask(path.read_bytes(), values)
    if found.shape != (height, width):
        raise UnreadableImageError(f"the image is {width}x{height}, its mask {found.shape[1]}x{found.shape[0]} pixels")
    return found


def read_colour_file(path: Path) -> dict[str, Colour]:
    """The colours of names, from a file.

    A .yaml file maps each name to `[r, g, b]`, alone or as `colours` of the description of a dataset. Any other text
    has a line for each name, with its colour before or behind it, as CamVid's `label_colors.txt` and `class_dict.csv`.
    `background` and `void` are no classes, in small letters or not.

    Raises:
        UserError: if it cannot be read, or names a name or a colour twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = _of_yaml(yaml.safe_load(text)) if path.suffix in (".yaml", ".yml") else _of_lines(text)
        pairs = [
            (name.lower() if name.lower() in (BACKGROUND_NAME, VOID_NAME) else name, colour) for name, colour in pairs
        ]
        if not pairs:
            raise ValueError("it names no colour")
        for what, some in (("name", [name for name, _ in pairs]), ("colour", [str(colour) for _, colour in pairs])):
            if twice := [one for one, times in Counter(some).items() if times > 1]:
                raise ValueError(f"the {what} {twice[0]} is there twice")
    except (OSError, ValueError, TypeError, LookupError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"the colours {path} cannot be read ({reason}): give lines like `128 64 128 road`, or a .yaml of "
            "`road: [128, 64, 128]`"
        ) from None
    return dict(pairs)


def _of_yaml(content: Any) -> list[tuple[str, Colour]]:
    for section in ("custom", "colours"):
        content = content[section] if isinstance(content, dict) and section in content else content
    if not isinstance(content, dict):
        raise ValueError("it is not a list of names")
    return [(str(name), _colour(colour)) for name, colour in content.items()]


def _of_lines(text: str) -> list[tuple[str, Colour]]:
    pairs = []
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        match = next((found for pattern in _LINES if (found := pattern.fullmatch(line))), None)
        if match:
            pairs.append(
                (match["name"].strip("\"' "), _colour([int(one) for one in match.group("red", "green", "blue")]))
            )
        elif line and not line.startswith("#") and pairs:  # the first lines may be a heading
            raise ValueError(f"line {number} is not a colour and a name")
    return pairs


def _colour(value: Any) -> Colour:
    if not is_colour(value):
        raise ValueError(f"{str(value)[:80]} is not a colour [r, g, b] of 0..255")
    red, green, blue = value
    return red, green, blue
