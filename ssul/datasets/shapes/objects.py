"""The objects of the `shapes` world: silhouettes with inner detail, colours and shading.

Objects are drawn in their own coordinates: x to the right, y down; an object about fills the circle of radius 1. All
randomness comes from the generator that is passed in, so an image is a pure function of that generator's state.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Points = NDArray[np.float64]  # (n, 2): x, y
Colour = tuple[int, int, int]
Rng = np.random.Generator

REACH = 1.35  # half the side of an object's patch, in object radii, because tails and leaves may leave the unit circle
INK: Colour = (52, 40, 48)
CREAM: Colour = (250, 240, 220)


class Stamp:
    """The square patch of one object: its colours and its mask."""

    def __init__(self, radius: float, angle: float, mirrored: bool) -> None:
        """`radius` in pixels, `angle` in radians (clockwise on screen)."""
        self.half = math.ceil(REACH * radius)
        side = 2 * self.half + 1
        self.radius = radius
        self.colours = Image.new("RGB", (side, side))
        self.mask = Image.new("L", (side, side))
        self._paint, self._cut = ImageDraw.Draw(self.colours), ImageDraw.Draw(self.mask)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        self._to_pixels = (np.diag([-1.0, 1.0]) if mirrored else np.eye(2)) @ turn * radius

    def body(self, points: Points | Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fills a polygon that belongs to the silhouette."""
        corners = self._pixels(points)
        self._cut.polygon(corners, fill=255)
        self._paint.polygon(corners, fill=colour)

    def detail(self, points: Points | Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fills a polygon of inner detail; it is not visible outside the silhouette."""
        self._paint.polygon(self._pixels(points), fill=colour)

    def stroke(self, points: Points | Sequence[tuple[float, float]], width: float, colour: Colour) -> None:
        """Draws a line of inner detail, `width` in object radii."""
        thick = max(1, round(width * self.radius))
        self._paint.line(self._pixels(points), fill=colour, width=thick, joint="curve")

    def _pixels(self, points: Points | Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        placed = np.asarray(points, dtype=np.float64) @ self._to_pixels + self.half
        return [(float(x), float(y)) for x, y in placed]


def oval(x: float, y: float, rx: float, ry: float, start: float = 0.0, stop: float = 360.0) -> Points:
    """Points along an axis-parallel ellipse's arc; angles in degrees, 0 to the right, 90 down."""
    turn = np.radians(np.linspace(start, stop, 36))
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)


def turned(points: Points, degrees: float) -> Points:
    """The points turned about the origin, clockwise on screen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    spun: Points = points @ np.array([[c, s], [-s, c]])
    return spun


def tint(hue: float, saturation: float, value: float) -> Colour:
    """RGB in 0..255 from a hue in degrees and saturation and value in 0..1 (clipped)."""
    rgb = colorsys.hsv_to_rgb(hue % 360 / 360, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """`share` (0..1) of `other` mixed into `one`."""
    r, g, b = (round(p + (q - p) * share) for p, q in zip(one, other, strict=True))
    return r, g, b


# --- the ten objects -------------------------------------------------------------------------------------------------


def draw_ball(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A beach ball: a sphere whose panels run from pole to pole."""
    size, panels = 0.9, 2 * int(rng.integers(3, 5))
    tilt, roll = rng.uniform(0.4, 1.0), rng.uniform(0, 360)
    other = (CREAM, blend(colour, CREAM, 0.7), tint(rng.uniform(190, 230), 0.6, 0.85))[rng.integers(3)]
    stamp.body(oval(0, 0, size, size), colour)
    middles = [2 * math.pi * (panel + 0.5) / panels for panel in range(panels)]
    # From the back to the front, because a panel behind the pole covers the whole disc until the others cover it.
    for panel in sorted(range(panels), key=lambda panel: math.sin(middles[panel])):
        edges = [_meridian(middles[panel] + side * math.pi / panels, tilt) for side in (-1, 1)]
        shape = turned(np.concatenate([edges[0], edges[1][::-1]]) * size, roll)
        stamp.detail(shape, other if panel % 2 else colour)
    stamp.detail(turned(oval(0, -math.sin(tilt) * size, 0.16, 0.16 * math.cos(tilt)), roll), blend(other, INK, 0.15))


def _meridian(longitude: float, tilt: float) -> Points:
    """A pole-to-pole line on the unit sphere seen from the front; its hidden part is moved to the rim."""
    latitude = np.linspace(0, math.pi, 24)
    x, y, z = np.sin(latitude) * math.cos(longitude), np.sin(latitude) * math.sin(longitude), np.cos(latitude)
    y, z = y * math.cos(tilt) - z * math.sin(tilt), y * math.sin(tilt) + z * math.cos(tilt)
    rim = np.where(z < 0, np.hypot(x, y) + 1e-9, 1.0)
    return np.stack([x / rim, y / rim], axis=1)


def draw_star(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A chubby five-pointed star with a lighter heart and, often, a face."""
    waist = rng.uniform(0.5, 0.6)
    stamp.body(_star(1.12, waist), colour)
    stamp.detail(_star(0.78, waist), blend(colour, CREAM, 0.45))
    if rng.random() < 0.6:
        _smile(stamp, 0.0, 0.0, 0.2)
    else:
        for corner in range(5):
            stamp.detail(turned(oval(0, -0.55, 0.1, 0.1), 72 * corner), blend(colour, INK, 0.25))


def _star(size: float, waist: float) -> Points:
    turn = np.radians(np.arange(10) * 36 - 90)
    reach = np.where(np.arange(10) % 2 == 0, size, size * waist)
    return np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=1)


def _smile(stamp: Stamp, x: float, y: float, size: float) -> None:
    for side in (-1, 1):
        stamp.detail(oval(x + side * size, y - size / 3, size * 0.4, size * 0.55), INK)
    stamp.stroke(oval(x, y + size * 0.2, size * 0.6, size * 0.6, 20, 160), 0.07, INK)


def draw_house(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A cottage: chimney, tiled roof in the class's colour, pale walls, a door and a window."""
    walls = blend(CREAM, tint(rng.uniform(0, 360), 0.5, 0.8), rng.uniform(0.1, 0.4))
    ridge = rng.uniform(-0.2, 0.2)
    stamp.body([(0.4, -0.85), (0.64, -0.85), (0.64, 0), (0.4, 0)], blend(colour, INK, 0.4))
    stamp.body([(-0.72, -0.15), (0.72, -0.15), (0.72, 0.88), (-0.72, 0.88)], walls)
    roof = [(ridge - 0.16, -0.98), (ridge + 0.16, -0.98), (1.0, 0.02), (-1.0, 0.02)]
    stamp.body(roof, colour)
    for row in range(3):
        y = -0.72 + 0.25 * row
        reach = 0.16 + (y + 0.98) * 0.84
        stamp.stroke(
            [(-reach + ridge * (0.02 - y), y), (reach + ridge * (0.02 - y), y)], 0.06, blend(colour, INK, 0.35)
        )
    door = float(rng.choice([-0.38, 0.36]))
    wood = tint(rng.uniform(10, 40), 0.6, rng.uniform(0.35, 0.55))
    stamp.detail([(door - 0.2, 0.9), (door - 0.2, 0.36), (door, 0.26), (door + 0.2, 0.36), (door + 0.2, 0.9)], wood)
    pane = [(-door - 0.2, 0.25), (-door + 0.2, 0.25), (-door + 0.2, 0.6), (-door - 0.2, 0.6)]
    stamp.detail(pane, (255, 226, 130) if rng.random() < 0.5 else (150, 200, 225))
    stamp.stroke([*pane, pane[0]], 0.06, wood)
    stamp.stroke([(-door, 0.25), (-door, 0.6)], 0.05, wood)


def draw_fish(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A fish that swims to the right: tail, fins, stripes or scales, one big eye."""
    fin, pale, depth = blend(colour, INK, 0.25), blend(colour, CREAM, 0.5), rng.uniform(0.56, 0.7)
    stamp.body([(-0.5, 0), (-1.18, -0.62), (-1.0, 0), (-1.18, 0.62)], fin)
    stamp.body([(-0.35, -depth * 0.8), (-0.25, -depth - 0.3), (0.35, -depth * 0.85)], fin)
    stamp.body([(-0.2, depth * 0.8), (-0.3, depth + 0.22), (0.25, depth * 0.85)], fin)
    stamp.body(oval(0.12, 0, 0.92, depth), colour)
    if rng.random() < 0.5:
        for x in (-0.45, -0.1, 0.25):
            reach = depth * math.sqrt(max(0.0, 1 - ((x - 0.12) / 0.92) ** 2)) * 0.98
            stamp.stroke(oval(x - 0.08, 0, 0.13, reach, -90, 90), 0.13, pale)
    else:
        for x in (-0.5, -0.2, 0.1):
            for y in (-0.3, 0.0, 0.3):
                shift = 0.15 if y else 0.0
                stamp.stroke(oval(x + shift, y, 0.14, 0.16, 90, 270), 0.055, pale)
    stamp.detail(oval(0.62, -0.14, 0.2, 0.2), (255, 255, 250))
    stamp.detail(oval(0.66, -0.14, 0.1, 0.11), INK)
    stamp.stroke(oval(0.88, 0.1, 0.18, 0.14, 90, 180), 0.06, INK)


def draw_heart(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A heart, quilted, dotted or plain with a stitched seam."""
    turn = np.linspace(0, 2 * math.pi, 60)
    x = 16 * np.sin(turn) ** 3
    y = -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)) - 2.5
    outline, pale = np.stack([x, y], axis=1) / 16.0, blend(colour, CREAM, 0.55)
    stamp.body(outline, colour)
    kind = rng.integers(3)
    if kind == 0:
        for row in range(-2, 3):
            for column in range(-2, 3):
                stamp.detail(oval(0.42 * column + 0.21 * (row % 2), 0.36 * row - 0.1, 0.09, 0.09), pale)
    elif kind == 1:
        for offset in np.arange(-1.5, 1.6, 0.5):
            stamp.stroke([(offset - 1, -1), (offset + 1, 1)], 0.07, pale)
            stamp.stroke([(offset + 1, -1), (offset - 1, 1)], 0.07, pale)
    else:
        seam = outline * 0.8
        for start in range(0, 60, 4):
            stamp.stroke(seam[start : start + 3], 0.06, pale)
    stamp.stroke(oval(-0.42, -0.38, 0.28, 0.28, 180, 260), 0.1, (255, 240, 240))


def draw_flower(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A blossom of five to eight petals over two leaves."""
    petals, leaf = int(rng.integers(5, 9)), tint(rng.uniform(95, 140), 0.55, rng.uniform(0.45, 0.65))
    for side in (130, 50):
        stamp.body(turned(oval(0.8, 0, 0.45, 0.22), side), leaf)
        stamp.stroke(turned(np.array([[0.4, 0.0], [1.15, 0.0]]), side), 0.05, blend(leaf, CREAM, 0.4))
    width = 0.62 * math.sin(math.pi / petals) + 0.08
    for petal in range(petals):
        shade = blend(colour, INK, 0.12 * (petal % 2))
        stamp.body(turned(oval(0.58, 0, 0.42, width), petal * 360 / petals - 90), shade)
        stamp.stroke(
            turned(np.array([[0.3, 0.0], [0.75, 0.0]]), petal * 360 / petals - 90), 0.06, blend(shade, INK, 0.3)
        )
    heart = tint(rng.uniform(38, 55), 0.75, 0.95) if rng.random() < 0.75 else tint(25, 0.7, 0.45)
    stamp.body(oval(0, 0, 0.32, 0.32), heart)
    for seed in range(6):
        stamp.detail(turned(oval(0.18, 0, 0.05, 0.05), seed * 60), blend(heart, INK, 0.4))


def draw_mushroom(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A toadstool: spotted cap on a pale stem with a skirt."""
    stem, foot = blend(CREAM, tint(35, 0.4, 0.7), rng.uniform(0, 0.5)), rng.uniform(0.3, 0.42)
    stamp.body([(-0.24, 0), (0.24, 0), (foot, 0.85), (foot * 0.7, 0.98), (-foot * 0.7, 0.98), (-foot, 0.85)], stem)
    for x in (-0.1, 0.1):
        stamp.stroke([(x, 0.35), (x * 1.6, 0.9)], 0.05, blend(stem, INK, 0.25))
    height = rng.uniform(0.9, 1.05)
    cap = np.concatenate([oval(0, 0.08, 1.02, height, 180, 360), oval(0, 0.08, 1.02, 0.2, 0, 180)])
    stamp.body(cap, colour)
    stamp.detail(oval(0, 0.12, 0.86, 0.14), blend(stem, INK, 0.3))
    stamp.detail(oval(0, 0.06, 0.9, 0.1), colour)
    for x, y, size in (
        (-0.55, -0.2, 0.15),
        (0.02, -0.52, 0.2),
        (0.55, -0.25, 0.17),
        (-0.12, -0.08, 0.11),
        (0.3, 0.0, 0.08),
    ):
        wobble = rng.uniform(-0.07, 0.07, size=2)
        stamp.detail(oval(x + wobble[0], y + wobble[1], size, size * 0.85), CREAM)


def draw_moon(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A sleepy crescent with craters."""
    bite, inner_radius = rng.uniform(0.38, 0.5), 0.84
    horn_x = (bite**2 + 1 - inner_radius**2) / (2 * bite)  # the horns are where the two circles meet
    horn_y = math.sqrt(1 - horn_x**2)
    outer, inner = (math.degrees(math.atan2(horn_y, x)) for x in (horn_x, horn_x - bite))
    outside = oval(0, 0, 1, 1, outer, 360 - outer)
    inside = oval(bite, 0, inner_radius, inner_radius, 360 - inner, inner)
    stamp.body((np.concatenate([outside, inside]) + np.array([0.2, 0.0])) * 1.12, colour)
    for x, y, size in ((-0.5, -0.5, 0.12), (-0.62, 0.45, 0.15), (-0.2, 0.8, 0.09), (-0.1, -0.82, 0.08)):
        stamp.detail(oval(x, y, size, size), blend(colour, INK, 0.22))
        stamp.detail(oval(x + 0.03, y + 0.03, size * 0.7, size * 0.7), blend(colour, INK, 0.1))
    if rng.random() < 0.7:
        stamp.stroke(oval(-0.52, -0.1, 0.14, 0.12, 10, 170), 0.07, INK)
        stamp.detail(oval(-0.6, 0.16, 0.1, 0.07), blend(colour, (235, 110, 110), 0.5))


def draw_kite(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A diamond of four panels with a tail of bows."""
    other = blend(colour, CREAM, 0.6) if rng.random() < 0.6 else tint(rng.uniform(0, 360), 0.6, 0.9)
    top, left, right, bottom, middle = (0.0, -1.15), (-0.86, -0.3), (0.86, -0.3), (0.0, 0.78), (0.0, -0.3)
    tail = [(0.0, 0.7), (0.1, 0.85), (-0.06, 1.0), (0.06, 1.2)]
    for (x0, y0), (x1, y1) in pairwise(tail):
        stamp.body([(x0 - 0.06, y0), (x0 + 0.06, y0), (x1 + 0.06, y1), (x1 - 0.06, y1)], other)
    for x, y in ((0.03, 0.92), (0.03, 1.15)):
        stamp.body([(x, y), (x - 0.24, y - 0.11), (x - 0.24, y + 0.11)], colour)
        stamp.body([(x, y), (x + 0.24, y - 0.11), (x + 0.24, y + 0.11)], colour)
    stamp.body([top, right, bottom, left], colour)
    stamp.detail([top, right, middle], other)
    stamp.detail([middle, bottom, left], other)
    for ends in ((top, bottom), (left, right)):
        stamp.stroke(ends, 0.06, blend(colour, INK, 0.5))


def draw_gem(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A cut stone: a flat table on top, facets of differing brightness down to a point."""
    table, girdle = rng.uniform(0.48, 0.62), rng.uniform(-0.3, -0.15)
    upper = [(-table, -0.78), (0.0, -0.78), (table, -0.78)]
    middle = [(-1.0, girdle), (-0.42, girdle), (0.42, girdle), (1.0, girdle)]
    stamp.body([upper[0], upper[2], middle[3], (0.0, 0.95), middle[0]], colour)
    facets = [(upper[0], middle[0], middle[1]), (upper[0], middle[1], upper[1]), (upper[1], middle[1], middle[2])]
    facets += [(upper[1], middle[2], upper[2]), (upper[2], middle[2], middle[3])]
    facets += [(middle[left], middle[left + 1], (0.0, 0.95)) for left in range(3)]
    light = np.array([0.1, 0.45, 0.65, 0.3, -0.15, 0.2, -0.1, -0.35]) + rng.uniform(-0.1, 0.1, size=8)
    for facet, share in zip(facets, light, strict=True):
        stamp.detail(facet, blend(colour, (255, 255, 255) if share > 0 else INK, abs(float(share))))


# --- things of no class, that are drawn as carefully ------------------------------------------------------------------


def draw_egg(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A painted egg with two wavy bands."""
    outline = oval(0, 0, 0.72, 0.95)
    outline[:, 0] *= 1 + 0.18 * outline[:, 1]
    stamp.body(outline, colour)
    for y in (-0.25, 0.25):
        x = np.linspace(-1, 1, 15)
        wave = np.stack([x, y + 0.08 * np.cos(math.pi * np.arange(15))], axis=1)
        stamp.stroke(wave, 0.12, blend(colour, CREAM if rng.random() < 0.6 else INK, 0.5))


def draw_crate(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A box with slats, or a wrapped present."""
    stamp.body([(-0.75, -0.7), (0.75, -0.7), (0.75, 0.7), (-0.75, 0.7)], colour)
    edge = blend(colour, INK, 0.4)
    if rng.random() < 0.5:
        for y in (-0.35, 0.0, 0.35):
            stamp.stroke([(-0.75, y), (0.75, y)], 0.05, edge)
        stamp.stroke([(-0.7, 0.65), (0.7, -0.65)], 0.16, blend(colour, CREAM, 0.3))
    else:
        stamp.stroke([(-0.75, 0), (0.75, 0)], 0.2, blend(colour, CREAM, 0.6))
        stamp.stroke([(0, -0.7), (0, 0.7)], 0.2, blend(colour, CREAM, 0.6))


def draw_tree(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A fir of three tiers on a trunk."""
    stamp.body([(-0.14, 0.5), (0.14, 0.5), (0.16, 1.0), (-0.16, 1.0)], tint(rng.uniform(15, 35), 0.5, 0.4))
    for tier, (top, bottom, reach) in enumerate(((0.0, 0.7, 0.78), (-0.5, 0.25, 0.62), (-1.0, -0.2, 0.45))):
        stamp.body([(0, top), (reach, bottom), (0, bottom - 0.08), (-reach, bottom)], blend(colour, CREAM, 0.1 * tier))


def draw_leaf(stamp: Stamp, rng: Rng, colour: Colour) -> None:
    """A broad leaf with veins."""
    along = np.linspace(-1, 1, 24)
    reach = rng.uniform(0.42, 0.6) * (1 - along**2)
    top, bottom = np.stack([along, -reach], axis=1), np.stack([along, reach], axis=1)
    stamp.body(np.concatenate([top, bottom[::-1]]), colour)
    vein = blend(colour, CREAM, 0.45)
    stamp.stroke([(-1.0, 0.0), (1.0, 0.0)], 0.07, vein)
    for x in (-0.5, -0.1, 0.3):
        stamp.stroke([(x + 0.3, -0.4), (x, 0.0), (x + 0.3, 0.4)], 0.045, vein)


# --- all of them, coloured and lit ------------------------------------------------------------------------------------


class Look(NamedTuple):
    """A drawing, its family of hues (centre and half width, degrees) and how far it may lean (degrees)."""

    draw: Callable[[Stamp, Rng, Colour], None]
    hue: float
    spread: float
    saturation: tuple[float, float]
    lean: float


# Class 1 first. The families of hues overlap: ball, house, mushroom and heart; star and moon; fish, kite and gem.
CLASS_LOOKS: tuple[Look, ...] = (
    Look(draw_ball, 18, 45, (0.55, 0.9), 180),
    Look(draw_star, 48, 25, (0.5, 0.9), 36),
    Look(draw_house, 12, 45, (0.35, 0.7), 10),
    Look(draw_fish, 185, 50, (0.4, 0.85), 35),
    Look(draw_heart, 350, 35, (0.45, 0.85), 30),
    Look(draw_flower, 300, 55, (0.3, 0.7), 25),
    Look(draw_mushroom, 4, 40, (0.5, 0.85), 18),
    Look(draw_moon, 58, 35, (0.2, 0.6), 50),
    Look(draw_kite, 120, 60, (0.4, 0.8), 45),
    Look(draw_gem, 228, 55, (0.4, 0.8), 25),
)
DECOY_LOOKS: tuple[Look, ...] = (
    Look(draw_egg, 30, 180, (0.2, 0.7), 60),
    Look(draw_crate, 30, 90, (0.3, 0.7), 20),
    Look(draw_tree, 115, 45, (0.3, 0.7), 8),
    Look(draw_leaf, 70, 60, (0.4, 0.8), 180),
)


def draw_object(look: Look, radius: float, light: tuple[float, float], rng: Rng) -> tuple[Image.Image, Image.Image]:
    """One object, `radius` in pixels, lit from where the unit vector `light` points: its RGB patch and 'L' mask."""
    # One in ten has a hue of any class, because colour alone must not determine the class.
    hue = rng.uniform(0, 360) if rng.random() < 0.1 else look.hue + look.spread * rng.uniform(-1, 1)
    colour = tint(hue, rng.uniform(*look.saturation), rng.uniform(0.65, 0.97))
    lean = math.radians(look.lean * rng.uniform(-1, 1))
    stamp = Stamp(radius, lean, mirrored=bool(rng.random() < 0.5))
    look.draw(stamp, rng, colour)
    return _shaded(stamp, light, rng), stamp.mask


def _shaded(stamp: Stamp, light: tuple[float, float], rng: Rng) -> Image.Image:
    """The stamp's colours under the light: bevelled edges, a dark rim, a grain."""
    soft = np.asarray(stamp.mask.filter(ImageFilter.GaussianBlur(0.13 * stamp.radius)), dtype=np.float32) / 255
    slope_y, slope_x = np.gradient(soft)
    bevel = -(slope_x * light[0] + slope_y * light[1]) * 0.13 * stamp.radius
    side = soft.shape[0]
    across = np.linspace(-1, 1, side, dtype=np.float32) * REACH
    fall = -(across[None, :] * light[0] + across[:, None] * light[1])
    grain = smooth_noise(rng, side, side, cells=14)
    shade = 0.66 + 0.40 * np.clip(2 * soft - 0.9, 0, 1) ** 0.5 - 0.75 * bevel - 0.10 * fall + 0.06 * grain
    lit = np.asarray(stamp.colours, dtype=np.float32) * shade[..., None]
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def smooth_noise(rng: Rng, width: int, height: int, cells: int) -> NDArray[np.float32]:
    """(height, width) smooth noise, about -1..1, with about `cells` bumps along the width."""
    rows = max(2, round(cells * height / width))
    coarse = Image.fromarray(rng.uniform(-1, 1, size=(rows, max(2, cells))).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
