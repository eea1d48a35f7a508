"""The figures of training and memory: there, legible in size, the same bytes each time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssul.report.curves import draw_training
from ssul.report.images import ShownExemplar, draw_memory


def curve(step: int, points: int) -> dict[str, Any]:
    drawn = [{"iteration": 3 * place + 3, "loss": 4.0 / (place + 1), "lr": 0.1} for place in range(points)]
    return {"step": step, "iterations": 3 * points, "points": drawn}


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "photograph.jpg"
    Image.new("RGB", (90, 60), (200, 30, 30)).save(path)
    return path


def test_the_training_has_a_panel_for_each_step_and_more_steps_make_it_wider(tmp_path: Path) -> None:
    draw_training(tmp_path / "two.png", [curve(0, 100), curve(1, 1)])
    draw_training(tmp_path / "nine.png", [curve(step, 20) for step in range(9)])
    assert size(tmp_path / "nine.png")[0] > size(tmp_path / "two.png")[0]


def test_the_memory_shows_every_exemplar_and_at_most_six_rows_of_them(tmp_path: Path, photograph: Path) -> None:
    exemplar = ShownExemplar(photograph, ("cat", "a class with a name that is far too long for any line", "dog", "cow"))
    heights = {}
    for number in (1, 9, 48, 300):
        draw_memory(tmp_path / "memory.png", [exemplar] * number)
        heights[number] = size(tmp_path / "memory.png")[1]
    assert heights[1] < heights[9] < heights[48]
    assert heights[300] == pytest.approx(heights[48], abs=4)


def test_exemplars_are_shown_by_their_centre_square_unstretched(tmp_path: Path) -> None:
    stripes = np.zeros((40, 120, 3), np.uint8)
    stripes[:, 40:80] = (0, 200, 0)  # the centre square is all green
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    draw_memory(tmp_path / "memory.png", [ShownExemplar(tmp_path / "stripes.png", ())])
    with Image.open(tmp_path / "memory.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert (pixels == (0, 200, 0)).all(axis=1).sum() > 5000
    coloured = pixels[np.abs(pixels.astype(int) - pixels.mean(axis=1, keepdims=True)).max(axis=1) > 40]
    assert (coloured[:, 1] > coloured[:, 0]).all()


def test_the_same_training_and_memory_give_the_same_bytes(tmp_path: Path, photograph: Path) -> None:
    for name in ("one", "two"):
        draw_training(tmp_path / f"{name}_training.png", [curve(0, 10)])
        draw_memory(tmp_path / f"{name}_memory.png", [ShownExemplar(photograph, ("cat",))])
    for kind in ("training", "memory"):
        assert (tmp_path / f"one_{kind}.png").read_bytes() == (tmp_path / f"two_{kind}.png").read_bytes()
