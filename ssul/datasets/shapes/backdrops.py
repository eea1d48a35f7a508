"""The backdrops of the drawn world and their clutter, which is of no class."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from ssul.datasets.shapes.objects import Colour, Rng, blend, oval, smooth_noise, tint, turned

Spot = tuple[float, float, float]  # x, y and radius of a thing, as shares of the image's height

NIGHT: Colour = (30, 25, 45)  # of shadows


class Brush(NamedTuple):
    """What paints small clutter, and the backdrop that it paints on."""

    pen: ImageDraw.ImageDraw
    rng: Rng
    tall: int
    wide: int
    base: Colour  # of the ground, or of the backdrop if there is no ground

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
    ground: tuple[Colour, Colour] | None  # horizon, bottom; None if there is no horizon
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


def draw_backdrop(rng: Rng, tall: int, wide: int) -> tuple[Image.Image, list[Spot]]:
    """Draws a land with its clutter.

    Args:
        rng: decides everything.
        tall, wide: height and width of the image, in pixels.

    Returns:
        The RGB image, and the places of salient clutter.
    """
    land = LANDS[rng.integers(len(LANDS))]
    image = _gradient(land.sky, tall, wide)
    if land.ground:
        _raise_hills(image, land.ground, land.sky[1], rng)
    mottle = 9 * smooth_noise(rng, wide, tall, 6) + 6 * smooth_noise(rng, wide, tall, 30)
    casts = rng.uniform(-14, 14, size=3).tolist()
    bands = [Image.fromarray((128 + cast + mottle).astype(np.uint8)) for cast in casts]
    image = ImageChops.add(image, Image.merge("RGB", bands), offset=-128)
    brush = Brush(ImageDraw.Draw(image, "RGBA"), rng, tall, wide, (land.ground or land.sky)[1])
    for paint in land.clutter:
        if rng.random() < 0.75:
            for _ in range(int(rng.integers(4, 14))):
                paint(brush)
    return image, [_bush(brush) for _ in range(int(rng.integers(0, 3)))]


def _raise_hills(image: Image.Image, ground: tuple[Colour, Colour], haze: Colour, rng: Rng) -> None:
    """Draws one to three ranges of hills; far ones are hazier."""
    wide, tall = image.size
    horizon = rng.uniform(0.35, 0.7)
    for layer in range(int(rng.integers(1, 4))):
        top, bottom = (blend(colour, haze, max(0.0, 0.3 - 0.15 * layer)) for colour in ground)
        crest = (smooth_noise(rng, wide, 2, cells=5)[0] * 0.07 + horizon + 0.13 * layer) * tall
        cover = Image.new("L", (wide, tall))
        hill = [(0.0, tall), *[(x, float(crest[x])) for x in range(0, wide, 4)], (wide, tall)]
        ImageDraw.Draw(cover).polygon(hill, fill=255)
        image.paste(_gradient((top, bottom), tall, wide), (0, 0), cover)


def _gradient(ends: tuple[Colour, Colour], tall: int, wide: int) -> Image.Image:
    column = Image.fromarray(np.linspace(ends[0], ends[1], tall).astype(np.uint8)[:, None, :])
    return column.resize((wide, tall), Image.Resampling.NEAREST)
