"""A drawn world of thirty classes in ADE20K's folders, without saliency, some of its photographs grey."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = tuple(f"{colour} {form}" for form in ("disc", "box", "cone") for colour in (
    "red", "orange", "yellow", "lime", "green", "teal", "blue", "navy", "violet", "pink",
))  # fmt: skip


def draw_street_world(root: Path, *, train: int, val: int, size: tuple[int, int] = (96, 72), seed: int = 0) -> None:
    """Draws images/{training,validation}/ID.jpg and annotations/{training,validation}/ID.png, values 0..30.

    Args:
        root: gets the folders.
        train, val: how many images; every fifth is a grey JPEG.
        size: width and height in pixels.
        seed: of everything random.
    """
    for split, count in (("training", train), ("validation", val)):
        for number in range(count):
            rng = np.random.default_rng((seed, len(split), number))
            picture, mask = _draw(rng, size)
            name = f"STREET_{split[:5]}_{number:05d}"
            for folder in ("images", "annotations"):
                (root / folder / split).mkdir(parents=True, exist_ok=True)
            photograph = picture.convert("L") if number % 5 == 4 else picture
            photograph.save(root / "images" / split / f"{name}.jpg", quality=92)
            mask.save(root / "annotations" / split / f"{name}.png")


def _draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    width, height = size
    ground = rng.integers(90, 160, 3)
    picture, mask = Image.new("RGB", size, tuple(int(channel) for channel in ground)), Image.new("L", size, 0)
    for class_id in rng.choice(len(CLASSES), size=4, replace=False) + 1:
        form, colour = divmod(int(class_id) - 1, 10)
        red, green, blue = colorsys.hsv_to_rgb(colour / 10, 0.85, float(rng.uniform(0.7, 1.0)))
        side = int(rng.integers(height // 4, height // 2))
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        for target, fill in (
            (ImageDraw.Draw(picture), (round(255 * red), round(255 * green), round(255 * blue))),
            (ImageDraw.Draw(mask), int(class_id)),
        ):
            _place(target, form, (x, y, x + side, y + side), fill)
    return picture.filter(ImageFilter.GaussianBlur(0.7)), mask


def _place(drawing: ImageDraw.ImageDraw, form: int, box: Sequence[int], fill: int | tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    if form == 0:
        drawing.ellipse([left, top, right, bottom], fill=fill)
    elif form == 1:
        drawing.rectangle([left, top, right, bottom], fill=fill)
    else:
        drawing.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=fill)
