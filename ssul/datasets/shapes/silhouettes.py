"""Silhouettes that depict nothing: any number of classes, made up from their numbers, to pretrain a backbone on.

A class is two or three overlapping outlines with a pattern inside and, sometimes, an eye. What tells classes apart is
drawn once from the number of the class. Each object then varies like the objects of `shapes`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ssul.datasets.shapes.objects import CREAM, INK, Colour, Look, Points, Rng, Stamp, blend, oval, turned

WHITE: Colour = (255, 255, 250)


class Part(NamedTuple):
    """An outline within the unit circle, and how it is filled.

    Attributes:
        outline: the polygon.
        dark: how much ink is in the object's colour, 0..1.
        second: whether it has the object's second colour.
    """

    outline: Points
    dark: float
    second: bool


class Blueprint(NamedTuple):
    """What the objects of a class share.

    Attributes:
        parts: the outlines, the first drawn first.
        pattern: draws inner detail: (stamp, lines, colour).
        lines: how many lines, dots or rings the pattern has.
        turn: of the pattern, in degrees.
        shade, share: the second colour is the first blended with so much of the shade.
        eye: its centre; None without.
    """

    parts: tuple[Part, ...]
    pattern: Callable[[Stamp, int, float, Colour], None]
    lines: int
    turn: float
    shade: Colour
    share: float
    eye: tuple[float, float] | None


def silhouette(number: int) -> Look:
    """The look of a class, a pure function of its number (from 1)."""
    rng = np.random.default_rng((7, number))
    blueprint = _blueprint(rng)

    def draw(stamp: Stamp, rng: Rng, colour: Colour) -> None:
        _draw(blueprint, stamp, rng, colour)

    hue, spread = rng.uniform(0, 360), rng.uniform(25, 60)
    return Look(draw, hue, spread, (0.35, 0.85), lean=float(rng.choice([15, 40, 180])))


def _blueprint(rng: Rng) -> Blueprint:
    count = int(rng.choice([2, 3]))  # never one alone: a circle would be a ball, a jagged polygon a star
    parts = []
    for place in range(count):
        angle, away = 2 * math.pi * place / count + rng.uniform(-0.5, 0.5), rng.uniform(0.25, 0.5)
        outline = rng.uniform(0.45, 0.7) * _outline(rng) + away * np.array([math.cos(angle), math.sin(angle)])
        parts.append(Part(outline, float(rng.uniform(0, 0.35)) if place else 0.0, bool(place and rng.random() < 0.5)))
    return Blueprint(
        tuple(parts),
        _PATTERNS[rng.integers(len(_PATTERNS))],
        lines=int(rng.integers(2, 6)),
        turn=rng.uniform(0, 180),
        shade=CREAM if rng.random() < 0.6 else INK,
        share=rng.uniform(0.35, 0.7),
        eye=(rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4)) if rng.random() < 0.4 else None,
    )


def _draw(blueprint: Blueprint, stamp: Stamp, rng: Rng, colour: Colour) -> None:
    second = blend(colour, blueprint.shade, blueprint.share * rng.uniform(0.8, 1.2))
    stretch = rng.uniform(0.93, 1.07, 2)
    for part in blueprint.parts:
        stamp.body(part.outline * stretch, second if part.second else blend(colour, INK, part.dark))
    blueprint.pattern(stamp, blueprint.lines, blueprint.turn, second)
    if blueprint.eye is not None:
        x, y = blueprint.eye
        stamp.detail(oval(x, y, 0.16, 0.16), WHITE)
        stamp.detail(oval(x + 0.04, y, 0.08, 0.09), INK)


# --- outlines --------------------------------------------------------------------------------------------------------


def _outline(rng: Rng) -> Points:
    """A stretched and turned outline of one of five kinds."""
    outline = _KINDS[rng.integers(len(_KINDS))](rng)
    return turned(outline * np.array([1.0, rng.uniform(0.55, 1.0)]), rng.uniform(0, 360))


def _superformula(rng: Rng) -> Points:
    """Gielis's superformula: rounded or pointed, with two to eight lobes."""
    lobes, steep = int(rng.integers(2, 9)), rng.uniform(0.4, 3)
    first, second = rng.uniform(0.5, 4, 2)
    turn = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    bent = np.abs(np.cos(lobes * turn / 4)) ** first + np.abs(np.sin(lobes * turn / 4)) ** second
    radius = bent ** (-1 / steep)
    return _polar(np.clip(radius / radius.max(), 0.05, 1), turn)


def _polygon(rng: Rng) -> Points:
    corners = int(rng.choice([3, 4, 6, 7]))
    return _polar(np.ones(corners), np.arange(corners) * 2 * math.pi / corners)


def _jagged(rng: Rng) -> Points:
    corners, waist = int(rng.choice([3, 4, 6, 8, 9])), rng.uniform(0.35, 0.75)
    radius = np.where(np.arange(2 * corners) % 2 == 0, 1.0, waist)
    return _polar(radius, np.arange(2 * corners) * math.pi / corners)


def _ellipse(rng: Rng) -> Points:
    return oval(0, 0, 1, rng.uniform(0.35, 1))


def _cross(rng: Rng) -> Points:
    a, b = rng.uniform(0.2, 0.45, 2)
    right = [(a, -1), (a, -b), (1, -b), (1, b), (a, b), (a, 1)]
    return np.array([*right, *((-x, -y) for x, y in right)], dtype=np.float64)


_KINDS: tuple[Callable[[Rng], Points], ...] = (_superformula, _polygon, _jagged, _ellipse, _cross)


def _polar(radius: Points, turn: Points) -> Points:
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


# --- patterns --------------------------------------------------------------------------------------------------------


def _stripes(stamp: Stamp, lines: int, turn: float, colour: Colour) -> None:
    for y in np.linspace(-0.7, 0.7, lines + 1):
        stamp.stroke(turned(np.array([[-1.2, y], [1.2, y]]), turn), 0.11, colour)


def _dots(stamp: Stamp, lines: int, turn: float, colour: Colour) -> None:
    for x in np.linspace(-0.6, 0.6, lines):
        for y in np.linspace(-0.6, 0.6, lines):
            stamp.detail(turned(oval(x, y, 0.1, 0.1), turn), colour)


def _rings(stamp: Stamp, lines: int, turn: float, colour: Colour) -> None:
    for radius in np.linspace(0.25, 0.8, lines):
        stamp.stroke(oval(0, 0, radius, radius, turn, turn + 360), 0.07, colour)


def _spokes(stamp: Stamp, lines: int, turn: float, colour: Colour) -> None:
    for line in range(lines):
        stamp.stroke(turned(np.array([[0.0, 0.0], [1.2, 0.0]]), 360 * line / lines + turn), 0.08, colour)


def _half(stamp: Stamp, lines: int, turn: float, colour: Colour) -> None:
    del lines
    stamp.detail(turned(np.array([[-1.3, -1.3], [1.3, -1.3], [1.3, 0.0], [-1.3, 0.0]]), turn), colour)


def _plain(stamp: Stamp, lines: int, turn: float, colour: Colour) -> None:
    del stamp, lines, turn, colour


_PATTERNS = (_stripes, _dots, _rings, _spokes, _half, _plain)
