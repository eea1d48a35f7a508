"""Draws `shapes`, the embedded dataset, and `silhouettes`, on which its backbone is pretrained, in Pascal VOC's layout.

The same seed gives the same bytes.

Every image has its own random generator, so it does not depend on the number of images. Images are drawn `SUPERSAMPLE`
times as large as requested and then reduced; masks are taken from the large drawing without blending.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ssul.datasets.shapes.backdrops import NIGHT, Spot, draw_backdrop
from ssul.datasets.shapes.objects import CLASS_LOOKS, DECOY_LOOKS, Colour, Look, Rng, draw_object, smooth_noise
from ssul.datasets.shapes.silhouettes import silhouette
from ssul.io.atomic import replace_file, write_text
from ssul.labels.colours import id_colours
from ssul.labels.ids import VOID

Mask = NDArray[np.uint8]  # (height, width)

SUPERSAMPLE = 3
SPLITS = {"train": "train_aug", "val": "val"}  # prefix of the ids -> name of the list
SMALL = 0.18  # a saliency detector often misses objects whose radius is below this share of the height


class Scene(NamedTuple):
    """A large drawing before it is reduced."""

    image: Image.Image
    owners: Image.Image  # 'L': 0 for background, k for the k-th object
    classes: list[int]  # class, from 1, of each object, the first drawn first
    radii: list[float]  # of each object, as shares of the height
    clutter: list[Spot]  # salient, but of no class


def looks_of(name: str, classes: int) -> Sequence[Look]:
    """How the classes of a drawn dataset look, the first class first."""
    return CLASS_LOOKS if name == "shapes" else [silhouette(number) for number in range(1, classes + 1)]


def draw_world(
    root: Path,
    *,
    seed: int,
    train: int,
    val: int,
    height: int,
    width: int,
    palette: Sequence[Colour],
    looks: Sequence[Look] = CLASS_LOOKS,
) -> Iterator[str]:
    """Draws the world and yields each image's id when its files are written, so that a caller can show progress.

    The image lists are written last, when the iterator is exhausted. If they exist, all their images exist.

    Args:
        root: the dataset's folder; gets JPEGImages, SegmentationClassAug, saliency_map and ImageSets/Segmentation.
        seed: 0 or more.
        train: how many training images, 0 or more; only they get a saliency map.
        val: how many validation images, 0 or more.
        height: of an image, in pixels, 32 or more.
        width: of an image, in pixels, 32 or more.
        palette: RGB 0..255 of the background and of each class, for showing the masks.
        looks: how the classes look.
    """
    if len(palette) != len(looks) + 1:
        raise ValueError(f"the palette has {len(palette)} colours, not {len(looks) + 1}: background and each class")
    if min(height, width) < 32:
        raise ValueError(f"images of {height} x {width} are too small to draw on: take 32 x 32 or more")
    return _draw(root, seed, {"train": train, "val": val}, (height, width), palette, looks)


def _draw(
    root: Path,
    seed: int,
    counts: dict[str, int],
    size: tuple[int, int],
    palette: Sequence[Colour],
    looks: Sequence[Look],
) -> Iterator[str]:
    lists = {split: root / "ImageSets" / "Segmentation" / f"{name}.txt" for split, name in SPLITS.items()}
    for path in lists.values():
        path.unlink(missing_ok=True)  # the list of an earlier drawing must not name images of an unfinished one
    ids = {split: [f"{split}_{index:05d}" for index in range(count)] for split, count in counts.items()}
    for number, split in enumerate(SPLITS):
        for index, image_id in enumerate(ids[split]):
            rng = np.random.default_rng(np.random.SeedSequence((seed, number, index)))
            scene = _compose(looks, rng, *size)
            _save_image(scene, root, image_id, size, palette, rng, with_saliency=split == "train")
            yield image_id
    for split, path in lists.items():
        write_text(path, "".join(f"{image_id}\n" for image_id in ids[split]))


def _save_image(
    scene: Scene,
    root: Path,
    image_id: str,
    size: tuple[int, int],
    palette: Sequence[Colour],
    rng: Rng,
    *,
    with_saliency: bool,
) -> None:
    owners = _reduced_owners(scene.owners, *size)
    image = _photographed(scene.image.reduce(SUPERSAMPLE), rng)
    labels = np.array([0, *scene.classes, *[0] * (VOID - len(scene.classes) - 1), VOID], dtype=np.uint8)[owners]
    mask = Image.fromarray(labels)
    mask.putpalette(id_colours(palette))
    _save(image, root / "JPEGImages" / f"{image_id}.jpg", "JPEG", quality=90, subsampling=0)
    _save(mask, root / "SegmentationClassAug" / f"{image_id}.png", "PNG")
    if with_saliency:
        saliency = Image.fromarray(_guessed_saliency(scene, owners, rng))
        _save(saliency, root / "saliency_map" / f"{image_id}.png", "PNG")


def _save(image: Image.Image, path: Path, kind: str, **options: int) -> None:
    with replace_file(path) as temporary:
        image.save(temporary, format=kind, **options)


# --- a scene: backdrop, then objects from the back to the front ------------------------------------------------------


def _compose(looks: Sequence[Look], rng: Rng, height: int, width: int) -> Scene:
    tall, wide = height * SUPERSAMPLE, width * SUPERSAMPLE
    image, clutter = draw_backdrop(rng, tall, wide)
    turn = rng.uniform(-2.4, -0.7)  # the light comes from above
    light = (math.cos(turn), math.sin(turn))
    for spot in _places(rng, int(rng.integers(0, 3)), width / height, largest=0.22):
        _put(image, DECOY_LOOKS[rng.integers(len(DECOY_LOOKS))], spot, light, rng)
        clutter.append(spot)
    owners = Image.new("L", (wide, tall))
    classes = _cast(rng, len(looks))
    spots = _places(rng, len(classes), width / height, largest=0.25 if len(classes) > 2 else 0.3)
    for number, (class_id, spot) in enumerate(zip(classes, spots, strict=True), start=1):
        mask, corner = _put(image, looks[class_id - 1], spot, light, rng)
        owners.paste(number, corner, mask)
    return Scene(image, owners, classes, [radius for _, _, radius in spots], clutter)


def _put(
    image: Image.Image, look: Look, spot: Spot, light: tuple[float, float], rng: Rng
) -> tuple[Image.Image, tuple[int, int]]:
    """Draws an object and its shadow into the image; returns its 'L' mask and the mask's upper left corner."""
    x, y, radius = (share * image.height for share in spot)
    patch, mask = draw_object(look, radius, light, rng)
    corner = (round(x) - patch.width // 2, round(y) - patch.height // 2)
    shadow = mask.filter(ImageFilter.GaussianBlur(0.1 * radius)).point(lambda value: value * 0.45)
    shift_x, shift_y = (round(-0.16 * radius * part) for part in light)
    image.paste(NIGHT, (corner[0] + shift_x, corner[1] + shift_y), shadow)
    image.paste(patch, corner, mask)
    return mask, corner


def _cast(rng: Rng, classes: int) -> list[int]:
    """Two to four of so many classes, mostly different ones; every class and every pair is equally likely."""
    count = int(rng.choice([2, 3, 4], p=[0.25, 0.45, 0.30]))
    chosen = [int(index) + 1 for index in rng.permutation(classes)[:count]]
    if rng.random() < 0.12:
        chosen[-1] = chosen[0]
    return chosen


def _places(rng: Rng, count: int, aspect: float, largest: float) -> list[Spot]:
    """A place for each of `count` things: of many tries, the first that hardly covers another thing, or the best."""
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
    """(height, width): 0 background, k the k-th object, 255 where a pixel's square contains several.

    The squares overlap by one fine pixel, so there is always void between any two things.
    """
    fine = np.pad(np.asarray(owners), ((0, 1), (0, 1)), mode="edge")
    shifts = range(SUPERSAMPLE + 1)
    squares = [fine[y::SUPERSAMPLE, x::SUPERSAMPLE][:height, :width] for y in shifts for x in shifts]
    low, high = np.minimum.reduce(squares), np.maximum.reduce(squares)
    return np.where(low == high, low, np.uint8(VOID))


def _photographed(image: Image.Image, rng: Rng) -> Image.Image:
    """Adds photographic effects: focus, exposure, warmth, a lit side, a vignette and a little noise."""
    focused = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.005) * image.height))
    pixels = np.asarray(focused, dtype=np.float32)
    height, width, _ = pixels.shape
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    turn = rng.uniform(0, 2 * math.pi)
    lit = rng.uniform(0.82, 1.22) + rng.uniform(0, 0.16) * (x * math.cos(turn) + y * math.sin(turn))
    lit = lit - rng.uniform(0.0, 0.12) * (x * x + y * y)
    warmth = rng.uniform(-0.1, 0.1)
    white = np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(2.0, 5.0)
    return Image.fromarray(np.clip(pixels * lit[..., None] * white + noise, 0, 255).astype(np.uint8))


# --- the output of a salient-object detector -------------------------------------------------------------------------


def _guessed_saliency(scene: Scene, owners: Mask, rng: Rng) -> Mask:
    """(height, width) of 0 or 255: objects are missed, borders shifted, neighbours merged, clutter marked."""
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
