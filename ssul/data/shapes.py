"""Draws `shapes`, the embedded data set: a picture-book world in Pascal VOC's layout, the same bytes for the same seed.

Every image has a random generator of its own, so it does not depend on how many others are drawn. Pictures are drawn
`SUPERSAMPLE` times as large as asked for and reduced; masks are read off the large drawing without any blending.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from ssul.atomic import replaced_file, write_text
from ssul.catalog import VOID_COLOUR
from ssul.data.shape_drawing import (
    CLASS_LOOKS,
    DECOY_LOOKS,
    Colour,
    Look,
    Rng,
    blend,
    draw_object,
    oval,
    smooth_noise,
    tint,
    turned,
)

Mask = NDArray[np.uint8]  # (height, width)
Spot = tuple[float, float, float]  # x, y and radius of a thing, as shares of the image's height

SUPERSAMPLE = 3
VOID = 255
NIGHT: Colour = (30, 25, 45)  # what shadows are made of
SPLITS = {"train": "train_aug", "val": "val"}  # the front of the ids, and the name of the list
SMALL = 0.18  # objects of a radius below this share of the height are the ones a saliency detector tends to miss


class Scene(NamedTuple):
    """One large drawing before it is reduced."""

    picture: Image.Image
    owners: Image.Image  # 'L': 0 where background is seen, k where the k-th object is
    classes: list[int]  # class 1..10 of each object, the first drawn first
    radii: list[float]  # of each object, as shares of the height
    clutter: list[Spot]  # what is of no class and catches the eye


def draw_world(
    root: Path, *, seed: int, train: int, val: int, height: int, width: int, palette: Sequence[Colour]
) -> Iterator[str]:
    """Draws the world and yields each image's id once its files are written (so a caller can show progress).

    The image lists are written last, when the iterator is exhausted: where they exist, all that they name does too.

    Args:
        root: the data set's folder; gets JPEGImages, SegmentationClassAug, saliency_map and ImageSets/Segmentation.
        seed: 0 or more.
        train: how many training images, 0 or more; only they get a saliency map.
        val: how many validation images, 0 or more.
        height: of an image, in pixels, 32 or more.
        width: of an image, in pixels, 32 or more.
        palette: RGB 0..255 of the background and of the ten classes, for showing the masks.
    """
    if len(palette) != len(CLASS_LOOKS) + 1:
        raise ValueError(
            f"the palette has {len(palette)} colours, not {len(CLASS_LOOKS) + 1}: background and each class"
        )
    if min(height, width) < 32:
        raise ValueError(f"images of {height} x {width} are too small to draw on: take 32 x 32 or more")
    return _draw(root, seed, {"train": train, "val": val}, (height, width), palette)


def _draw(
    root: Path, seed: int, counts: dict[str, int], size: tuple[int, int], palette: Sequence[Colour]
) -> Iterator[str]:
    lists = {split: root / "ImageSets" / "Segmentation" / f"{name}.txt" for split, name in SPLITS.items()}
    for path in lists.values():
        path.unlink(missing_ok=True)  # an earlier drawing's list must not vouch for a half-finished one
    ids = {split: [f"{split}_{index:05d}" for index in range(count)] for split, count in counts.items()}
    for number, split in enumerate(SPLITS):
        for index, image_id in enumerate(ids[split]):
            rng = np.random.default_rng(np.random.SeedSequence((seed, number, index)))
            _draw_image(root, image_id, size, palette, rng, with_saliency=split == "train")
            yield image_id
    for split, path in lists.items():
        write_text(path, "".join(f"{image_id}\n" for image_id in ids[split]))


def _draw_image(
    root: Path, image_id: str, size: tuple[int, int], palette: Sequence[Colour], rng: Rng, *, with_saliency: bool
) -> None:
    scene = _compose(rng, *size)
    owners = _reduced_owners(scene.owners, *size)
    picture = _photographed(scene.picture.reduce(SUPERSAMPLE), rng)
    colours = [*palette, *[(0, 0, 0)] * (VOID - len(palette)), VOID_COLOUR]
    labels = np.array([0, *scene.classes, *[0] * (VOID - len(scene.classes) - 1), VOID], dtype=np.uint8)[owners]
    mask = Image.fromarray(labels)
    mask.putpalette([channel for colour in colours for channel in colour])
    _save(picture, root / "JPEGImages" / f"{image_id}.jpg", "JPEG", quality=90, subsampling=0)
    _save(mask, root / "SegmentationClassAug" / f"{image_id}.png", "PNG")
    if with_saliency:
        saliency = Image.fromarray(_guessed_saliency(scene, owners, rng))
        _save(saliency, root / "saliency_map" / f"{image_id}.png", "PNG")


def _save(image: Image.Image, path: Path, kind: str, **options: int) -> None:
    with replaced_file(path) as temporary:
        image.save(temporary, format=kind, **options)


# --- a scene: backdrop, then objects from the back to the front ------------------------------------------------------


def _compose(rng: Rng, height: int, width: int) -> Scene:
    tall, wide = height * SUPERSAMPLE, width * SUPERSAMPLE
    picture, clutter = _backdrop(rng, tall, wide)
    turn = rng.uniform(-2.4, -0.7)  # the light comes from above
    light = (math.cos(turn), math.sin(turn))
    for spot in _places(rng, int(rng.integers(1, 4)), width / height, largest=0.22):
        _put(picture, DECOY_LOOKS[rng.integers(len(DECOY_LOOKS))], spot, light, rng)
        clutter.append(spot)
    owners = Image.new("L", (wide, tall))
    classes = _cast(rng)
    spots = _places(rng, len(classes), width / height, largest=0.25 if len(classes) > 2 else 0.3)
    for number, (class_id, spot) in enumerate(zip(classes, spots, strict=True), start=1):
        mask, corner = _put(picture, CLASS_LOOKS[class_id - 1], spot, light, rng)
        owners.paste(number, corner, mask)
    return Scene(picture, owners, classes, [radius for _, _, radius in spots], clutter)


def _put(
    picture: Image.Image, look: Look, spot: Spot, light: tuple[float, float], rng: Rng
) -> tuple[Image.Image, tuple[int, int]]:
    """Draws an object and its shadow into the picture; returns its 'L' mask and the mask's left upper corner."""
    x, y, radius = (share * picture.height for share in spot)
    patch, mask = draw_object(look, radius, light, rng)
    corner = (round(x) - patch.width // 2, round(y) - patch.height // 2)
    shadow = mask.filter(ImageFilter.GaussianBlur(0.1 * radius)).point(lambda value: value * 0.45)
    shift_x, shift_y = (round(-0.16 * radius * part) for part in light)
    picture.paste(NIGHT, (corner[0] + shift_x, corner[1] + shift_y), shadow)
    picture.paste(patch, corner, mask)
    return mask, corner


def _cast(rng: Rng) -> list[int]:
    """Two to four classes of 1..10, mostly different ones; every class and every pair is equally likely."""
    count = int(rng.choice([2, 3, 4], p=[0.25, 0.45, 0.30]))
    classes = [int(index) + 1 for index in rng.permutation(len(CLASS_LOOKS))[:count]]
    if rng.random() < 0.12:
        classes[-1] = classes[0]
    return classes


def _places(rng: Rng, count: int, aspect: float, largest: float) -> list[Spot]:
    """Where each of `count` things goes: of many tries, the first that hardly covers another, or the best one."""
    placed: list[Spot] = []
    for _ in range(count):
        radius = rng.uniform(0.13, largest)
        edge = 0.7 * radius
        tries = rng.uniform((edge, edge), (aspect - edge, 1 - edge), size=(24, 2)).tolist()
        gaps = [min((math.hypot(x - a, y - b) / (radius + r) for a, b, r in placed), default=2.0) for x, y in tries]
        chosen = next((index for index, gap in enumerate(gaps) if gap > 0.72), int(np.argmax(gaps)))
        placed.append((tries[chosen][0], tries[chosen][1], radius))
    return placed


def _reduced_owners(owners: Image.Image, height: int, width: int) -> Mask:
    """(height, width): 0 background, k the k-th object, 255 where a pixel's square holds more than one of them.

    The squares overlap by one fine pixel, so between any two things there is always void.
    """
    fine = np.pad(np.asarray(owners), ((0, 1), (0, 1)), mode="edge")
    shifts = range(SUPERSAMPLE + 1)
    squares = [fine[y::SUPERSAMPLE, x::SUPERSAMPLE][:height, :width] for y in shifts for x in shifts]
    low, high = np.minimum.reduce(squares), np.maximum.reduce(squares)
    return np.where(low == high, low, np.uint8(VOID))


def _photographed(picture: Image.Image, rng: Rng) -> Image.Image:
    """The picture in this hour's light: focus, exposure, warmth, a lit side, a vignette and a little noise."""
    focused = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.007) * picture.height))
    pixels = np.asarray(focused, dtype=np.float32)
    height, width, _ = pixels.shape
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    turn = rng.uniform(0, 2 * math.pi)
    lit = rng.uniform(0.82, 1.22) + rng.uniform(0, 0.16) * (x * math.cos(turn) + y * math.sin(turn))
    lit = lit - rng.uniform(0.0, 0.12) * (x * x + y * y)
    warmth = rng.uniform(-0.1, 0.1)
    white = np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(2.0, 7.0)
    return Image.fromarray(np.clip(pixels * lit[..., None] * white + noise, 0, 255).astype(np.uint8))


# --- backdrops -------------------------------------------------------------------------------------------------------


class Brush(NamedTuple):
    """What small clutter is painted with, on which backdrop."""

    pen: ImageDraw.ImageDraw
    rng: Rng
    tall: int
    wide: int
    base: Colour  # of the ground, or of the backdrop where there is none

    def anywhere(self, highest: float = 0.0, lowest: float = 1.0) -> tuple[float, float, float]:
        """x, y and a small size, in pixels; y between two shares of the height."""
        y = self.rng.uniform(highest, lowest) * self.tall
        return self.rng.uniform(0, self.wide), y, self.rng.uniform(0.012, 0.035) * self.tall

    @property
    def thin(self) -> int:
        """The width of a thin line in pixels."""
        return max(1, round(0.008 * self.tall))


def _grass(brush: Brush, reach: float = 3.0) -> None:
    x, y, size = brush.anywhere(0.5, 1.05)
    size *= reach
    blade = tint(brush.rng.uniform(85, 150), brush.rng.uniform(0.3, 0.6), brush.rng.uniform(0.35, 0.75))
    for lean in brush.rng.uniform(-0.5, 0.5, size=3):
        bend = [(x, y), (x + lean * size * 0.3, y - size * 0.6), (x + lean * size, y - size)]
        brush.pen.line(bend, fill=blade, width=brush.thin + 1, joint="curve")


def _weeds(brush: Brush) -> None:
    _grass(brush, reach=9.0)


def _pebble(brush: Brush, scale: float = 1.0, highest: float = 0.55) -> None:
    x, y, size = brush.anywhere(highest)
    size *= scale
    stone = blend(brush.base, tint(brush.rng.uniform(0, 360), 0.25, brush.rng.uniform(0.3, 0.9)), 0.6)
    brush.pen.ellipse((x - size, y - size * 0.6, x + size, y + size * 0.8), fill=blend(stone, NIGHT, 0.4))
    brush.pen.ellipse((x - size, y - size * 0.7, x + size, y + size * 0.6), fill=stone)


def _crumb(brush: Brush) -> None:
    _pebble(brush, scale=0.4, highest=0.0)


def _line(brush: Brush, half: float, colour: Colour, width: int) -> None:
    x, y, size = brush.anywhere()
    turn = brush.rng.uniform(0, math.pi)
    across, down = half * size * math.cos(turn), half * size * math.sin(turn)
    brush.pen.line((x - across, y - down, x + across, y + down), fill=colour, width=width)


def _twig(brush: Brush) -> None:
    _line(brush, 4.0, tint(brush.rng.uniform(15, 40), 0.5, brush.rng.uniform(0.25, 0.5)), brush.thin + 1)


def _thread(brush: Brush) -> None:
    _line(brush, 14.0, blend(brush.base, (90, 90, 130), 0.4), brush.thin)


def _plank(brush: Brush) -> None:
    _, y, size = brush.anywhere()
    brush.pen.line((0, y, brush.wide, y + size), fill=blend(brush.base, (60, 35, 25), 0.35), width=brush.thin)


def _fallen_leaf(brush: Brush) -> None:
    x, y, size = brush.anywhere()
    leaf = tint(brush.rng.uniform(20, 110), 0.6, brush.rng.uniform(0.35, 0.75))
    shape = turned(oval(0, 0, 1.6 * size, 0.7 * size), brush.rng.uniform(0, 360)) + np.array([x, y])
    brush.pen.polygon([(a, b) for a, b in shape.tolist()], fill=leaf)


def _bubble(brush: Brush) -> None:
    x, y, size = brush.anywhere()
    brush.pen.ellipse((x - size, y - size, x + size, y + size), outline=(225, 245, 250, 190), width=brush.thin)


def _glow(brush: Brush, stretch: float = 1.2, lowest: float = 1.0) -> None:
    x, y, size = brush.anywhere(0.0, lowest)
    for spread in (1.0, 0.75, 0.5):
        across, down = size * spread * stretch, size * spread
        brush.pen.ellipse((x - across, y - down, x + across, y + down), fill=(255, 250, 225, 60))


def _cloud(brush: Brush) -> None:
    _glow(brush, stretch=4.0, lowest=0.45)


def _bush(brush: Brush) -> tuple[float, float, float]:
    """A bush or a rock, as large as a small object; returns its x, y, radius as shares of the height."""
    x, y, size = brush.anywhere(0.4)
    size *= 4
    hue, saturation = (
        (brush.rng.uniform(80, 140), 0.45) if brush.rng.random() < 0.5 else (brush.rng.uniform(0, 360), 0.12)
    )
    colour = tint(hue, saturation, brush.rng.uniform(0.4, 0.7))
    lumps = brush.rng.uniform((-0.8, -0.35, 0.4), (0.8, 0.35, 0.65), size=(6, 3)) * size
    for a, b, r in lumps[np.argsort(lumps[:, 1])] + np.array([x, y, 0.0]):
        brush.pen.ellipse((a - r, b - r, a + r, b + r), fill=blend(colour, NIGHT, 0.25))
        brush.pen.ellipse((a - r * 0.8, b - r, a + r * 0.8, b + r * 0.6), fill=colour)
    return x / brush.tall, y / brush.tall, size / brush.tall


class Land(NamedTuple):
    """A kind of backdrop."""

    sky: tuple[Colour, Colour]  # top, horizon
    ground: tuple[Colour, Colour] | None  # horizon, bottom; None where there is no horizon
    clutter: tuple[Callable[[Brush], None], ...]


LANDS = (
    Land(((130, 190, 230), (225, 238, 235)), ((140, 190, 105), (80, 140, 70)), (_grass, _pebble, _cloud)),
    Land(((96, 84, 150), (245, 180, 140)), ((120, 92, 110), (66, 54, 84)), (_grass, _twig, _glow, _cloud)),
    Land(((24, 34, 80), (62, 84, 140)), ((42, 74, 88), (24, 46, 60)), (_glow, _grass, _pebble)),
    Land(((165, 215, 235), (235, 240, 225)), ((236, 214, 165), (205, 170, 115)), (_pebble, _twig, _cloud)),
    Land(((190, 205, 225), (240, 243, 248)), ((238, 242, 248), (200, 212, 230)), (_twig, _pebble, _crumb)),
    Land(((80, 175, 190), (28, 84, 130)), None, (_bubble, _weeds, _pebble)),
    Land(((222, 190, 140), (176, 128, 84)), None, (_plank, _twig, _crumb)),
    Land(((238, 222, 214), (214, 224, 218)), None, (_thread, _crumb, _glow)),
    Land(((120, 140, 84), (74, 92, 60)), None, (_fallen_leaf, _twig, _grass)),
)


def _backdrop(rng: Rng, tall: int, wide: int) -> tuple[Image.Image, list[Spot]]:
    """A land with its clutter, and where the clutter is that catches the eye."""
    land = LANDS[rng.integers(len(LANDS))]
    picture = _gradient(land.sky, tall, wide)
    if land.ground:
        _raise_hills(picture, land.ground, land.sky[1], rng)
    mottle = 9 * smooth_noise(rng, wide, tall, 6) + 6 * smooth_noise(rng, wide, tall, 30)
    casts = rng.uniform(-14, 14, size=3).tolist()
    bands = [Image.fromarray((128 + cast + mottle).astype(np.uint8)) for cast in casts]
    picture = ImageChops.add(picture, Image.merge("RGB", bands), offset=-128)
    brush = Brush(ImageDraw.Draw(picture, "RGBA"), rng, tall, wide, (land.ground or land.sky)[1])
    for paint in land.clutter:
        if rng.random() < 0.75:
            for _ in range(int(rng.integers(4, 14))):
                paint(brush)
    return picture, [_bush(brush) for _ in range(int(rng.integers(0, 3)))]


def _raise_hills(picture: Image.Image, ground: tuple[Colour, Colour], haze: Colour, rng: Rng) -> None:
    """Draws one to three ranges of hills, the farther the hazier."""
    wide, tall = picture.size
    horizon = rng.uniform(0.35, 0.7)
    for layer in range(int(rng.integers(1, 4))):
        top, bottom = (blend(colour, haze, max(0.0, 0.3 - 0.15 * layer)) for colour in ground)
        crest = (smooth_noise(rng, wide, 2, cells=5)[0] * 0.07 + horizon + 0.13 * layer) * tall
        cover = Image.new("L", (wide, tall))
        hill = [(0.0, tall), *[(x, float(crest[x])) for x in range(0, wide, 4)], (wide, tall)]
        ImageDraw.Draw(cover).polygon(hill, fill=255)
        picture.paste(_gradient((top, bottom), tall, wide), (0, 0), cover)


def _gradient(ends: tuple[Colour, Colour], tall: int, wide: int) -> Image.Image:
    column = Image.fromarray(np.linspace(ends[0], ends[1], tall).astype(np.uint8)[:, None, :])
    return column.resize((wide, tall), Image.Resampling.NEAREST)


# --- what a salient-object detector makes of it ----------------------------------------------------------------------


def _guessed_saliency(scene: Scene, owners: Mask, rng: Rng) -> Mask:
    """(height, width) of 0 or 255: objects missed, borders off, neighbours run together, blobs on clutter."""
    height, width = owners.shape
    whole = np.asarray(scene.owners.resize((width, height), Image.Resampling.NEAREST))
    heat = np.zeros((height, width), dtype=np.float32)
    for number, radius in enumerate(scene.radii, start=1):
        missed = rng.random() < (0.2 if radius < SMALL else 0.08)
        heat += 0.0 if missed else rng.uniform(0.85, 1.25) * (whole == number)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    for cx, cy, radius in scene.clutter:
        if rng.random() < 0.2:
            heat += 0.9 * (np.hypot(x - cx, y - cy) < radius * rng.uniform(0.8, 1.4))
    coarse = Image.fromarray(np.clip(100 * heat, 0, 255).astype(np.uint8))
    blurred = np.asarray(coarse.filter(ImageFilter.GaussianBlur(0.035 * height)), dtype=np.float32) / 100
    wobble = 0.2 * smooth_noise(rng, width, height, 16) + 0.18 * smooth_noise(rng, width, height, 5)
    return np.where(blurred + wobble > rng.uniform(0.28, 0.62), 255, 0).astype(np.uint8)
