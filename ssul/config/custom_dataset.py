"""The description of a user's own dataset."""

import unicodedata
from collections import Counter
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from ssul.config.base import StrictModel
from ssul.labels.ids import BACKGROUND_NAME, VOID, VOID_NAME

Byte = Annotated[int, Field(ge=0, le=255)]
MAX_CLASSES = VOID - 2
"""Targets are bytes: the values below void, less background and unknown."""


def _is_template(template: str) -> str:
    if template.count("{id}") != 1:
        raise ValueError("a file template must contain {id} once, as in masks/{id}.png")
    if PurePosixPath(template).is_absolute() or ".." in PurePosixPath(template).parts:
        raise ValueError("a file template must stay below data.root")
    return PurePosixPath(template).as_posix()  # normalised: ./masks/{id}.png is masks/{id}.png


Template = Annotated[str, AfterValidator(_is_template)]


def _is_name(name: str) -> str:
    kinds = {unicodedata.category(character) for character in name}
    if not name.strip() or kinds & {"Cc", "Cs", "Zl", "Zp"}:
        raise ValueError("a name must be one line of text")
    return name


Name = Annotated[str, AfterValidator(_is_name)]


Colour = tuple[Byte, Byte, Byte]


class SplitFilesParams(StrictModel):
    """The files of a split of a custom dataset, below its root: templates with `{id}`, and an image list."""

    image: Template
    """As in `JPEGImages/{id}.jpg`."""
    mask: Template
    """As in `SegmentationClass/{id}.png`."""
    saliency: Template | None = None
    """Of the maps, where there are any."""
    list: str | None = None
    """A text file with an id a line; null: every image that has a mask."""


class CustomDataset(StrictModel):
    """A custom dataset, in place of an entry of the catalog. See `ssul.datasets.catalog.DatasetSpec`."""

    classes: Annotated[list[Name], Field(min_length=1, max_length=MAX_CLASSES)]
    """Their names, in the order of their values in the masks."""
    palette: list[Colour] | None = None
    """A colour for the background and for each class; null takes Pascal VOC's."""
    colours: dict[Name, Colour] | None = None
    """Of colour-coded masks, which have no values: the colour of each class, the background and perhaps `void`."""
    background: bool = True
    """Whether the value 0 is the background."""
    first_value: Byte = 1
    """The value of the first class in the masks."""
    void: Byte | None = VOID
    """The value of pixels that are not annotated; null: there are none."""
    train: SplitFilesParams
    """The files of the training images."""
    val: SplitFilesParams | None = None
    """The files of the validation images; or null, with val_share."""
    val_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """The share of the training images that is drawn for validation, in place of val."""
    val_seed: int = 0
    """Decides which."""
    extends: str | None = None
    """The folder of a checkpoint whose classes are known already; then `classes` may be the new ones alone."""

    @model_validator(mode="after")
    def _consistent(self) -> "CustomDataset":
        names = [BACKGROUND_NAME, *self.classes]
        twice = sorted(name for name, times in Counter(names).items() if times > 1)
        values = [*([0] if self.background else []), *range(self.first_value, self.first_value + len(self.classes))]
        errors = {
            f"classes are named twice, or like the background: {', '.join(twice)}": bool(twice),
            f"palette has {len(self.palette or [])} colours, not {len(names)} (background and each class)": (
                self.palette is not None and len(self.palette) != len(names)
            ),
            "choose either val (where the validation split lies) or val_share (how much is drawn for it)": (
                (self.val is None) == (self.val_share is None)
            ),
            f"the values 0 (background) and {self.first_value}.. (classes) overlap: first_value must be 1 or more": (
                self.background and self.first_value == 0
            ),
            f"the classes take the values up to {values[-1]}, a mask holds 0..255": values[-1] > 255,
            f"void is {self.void}, which is also the value of the background or of a class": self.void in values,
        }
        wrong = [error for error, holds in errors.items() if holds] + self._wrong_colours()
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_colours(self) -> list[str]:
        if self.colours is None:
            return []
        needed = [*([BACKGROUND_NAME] if self.background else []), *self.classes]
        missing = [name for name in needed if name not in self.colours]
        unknown = [name for name in self.colours if name not in (*needed, VOID_NAME)]
        shared = [colour for colour, times in Counter(self.colours.values()).items() if times > 1]
        errors = {
            f"colours has no colour for {', '.join(missing)}": bool(missing),
            f"colours names {', '.join(unknown)}, valid are {', '.join(needed)} and {VOID_NAME}": bool(unknown),
            f"colours has the colour {[*shared[0]] if shared else ''} twice": bool(shared),
            f"a class is called {VOID_NAME}, which names the pixels that are not annotated in colours: rename it": (
                VOID_NAME in self.classes
            ),
            "colours stand in place of values: leave out first_value and void (colours may name one)": (
                self.first_value != 1 or self.void not in (None, VOID)
            ),
        }
        return [error for error, holds in errors.items() if holds]
