"""Line charts: mean IoU over steps, loss over iterations."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes

from ssul.report.style import INK, annotate, new_figure, title
from ssul.report.tables import summary

_WORD, _NUMBER = 0.15, 0.3  # inches that a vertical name and a step's number take along the axis
_ACROSS = 8  # panels of the training in a row, so that their numbers have room
_MOST_MARKERS = 40  # steps; of more than these a curve's markers would cover it
CURVES = {"old": ("#0072b2", "o"), "all": (INK, "s"), "new": ("#d55e00", "^")}  # Okabe and Ito's colours


def draw_curves(path: Path, rows: Sequence[Mapping[str, Any]], learned: Sequence[Sequence[str]]) -> None:
    """Mean IoU of old, new and all classes over the steps, with the classes of each step below it.

    Args:
        path: of the PNG.
        rows: `Scores` as dicts, one a step, or rows of reports/miou_per_step.json.
        learned: the classes that each step learned.
    """
    steps = len(rows)
    width = min(max(6.5, 1.05 * steps + 1.0), 15.0)
    with new_figure(path, width, 4.0) as figure:
        axes = figure.add_subplot()
        title(axes, "What is kept and what is learned", "mean IoU on the validation images after each step, %")
        curves = CURVES if steps > 1 else ("all",)  # with one step, old equals all
        ends = {name: end for name in curves if (end := _curve(axes, name, rows)) is not None}
        axes.set_ylim(0, 100)
        axes.set_xlim(-0.25, max(steps - 0.75, 0.25))
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        for name, place in _apart(ends, gap=6.5).items():
            words, look = f"{name}  {ends[name]:.1f}", {"color": CURVES[name][0], "weight": "bold"}
            annotate(axes, words, (steps - 1, place), (12, 0), "data", va="center", **look)
        _step_ticks(axes, learned, room=(width - 1.0) / steps)


def _curve(axes: Axes, name: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Draws one score in percent and returns its last value; None if it is never defined."""
    points = [(row["step"], 100 * row[name]) for row in rows if row[name] is not None]
    if not points:
        return None
    colour, marker = CURVES[name]
    steps, values = zip(*points, strict=True)
    shown = marker if len(points) <= _MOST_MARKERS else None
    axes.plot(steps, values, color=colour, marker=shown, markersize=5, linewidth=2, clip_on=False)
    return float(values[-1])


def _step_ticks(axes: Axes, learned: Sequence[Sequence[str]], *, room: float) -> None:
    """Numbers the steps and names their classes; vertically, or only some, if a step has little room (inches)."""
    upright = room < 0.85
    numbered = range(0, len(learned), math.ceil(_NUMBER / room))
    axes.set_xticks(numbered, [str(step) if upright else f"step {step}" for step in numbered])
    for step in range(len(learned)) if room > _WORD else numbered:
        names = learned[step]
        if upright:
            words = summary(names)
        else:
            lines = wrap(", ".join(names), width=max(11, int(room * 11)), break_long_words=False)
            words = "\n".join(lines if len(lines) <= 5 else [*lines[:4], f"... ({len(names)} classes)"])
        look = {"rotation": 90 if upright else 0, "fontsize": 8.5, "linespacing": 1.35}
        annotate(axes, words, (step, 0), (0, -19), axes.get_xaxis_transform(), ha="center", va="top", **look)


def _apart(values: Mapping[str, float], *, gap: float) -> dict[str, float]:
    """Positions in 0..100 for labels: near their values, and at least `gap` from each other."""
    names = sorted(values, key=lambda name: values[name])
    places = [values[name] for name in names]
    for _ in range(50):
        for low, high in pairwise(range(len(places))):
            overlap = max(0.0, gap - (places[high] - places[low]))
            places[low] -= overlap / 2
            places[high] += overlap / 2
    lift = max(0.0, -places[0]) - max(0.0, places[-1] - 100) if places else 0.0
    return {name: place + lift for name, place in zip(names, places, strict=True)}


def draw_training(path: Path, curves: Sequence[Mapping[str, Any]]) -> None:
    """The loss over all iterations of all steps; each step has its own scale.

    Losses are not comparable across steps, because each step minimises another sum (more classes, other terms).

    Args:
        path: of the PNG.
        curves: training histories (`ssul.training.history`) as dicts, one for each step that was trained; at least one.
    """
    across = min(_ACROSS, len(curves))
    down = math.ceil(len(curves) / across)
    with new_figure(path, min(max(6.5, 1.6 * across), 15.0), 2.6 * down) as figure:
        panels = figure.subplots(down, across, squeeze=False, gridspec_kw={"wspace": 0.35, "hspace": 0.45}).flat
        for panel, curve in zip_longest(panels, curves):
            if curve is None:
                panel.set_axis_off()
            else:
                _draw_step(panel, curve)
        title(panels[0], "How it was learned", "loss over the iterations of each step, each with its own scale")


def _draw_step(axes: Axes, curve: Mapping[str, Any]) -> None:
    points = curve["points"]
    axes.plot([one["iteration"] for one in points], [one["loss"] for one in points], color=INK, linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, curve["iterations"])
    axes.set_xticks([0, curve["iterations"]])
    axes.grid(axis="y")
    annotate(axes, f"step {curve['step']}", (0.5, 0), (0, -19), "axes fraction", ha="center", va="top")
