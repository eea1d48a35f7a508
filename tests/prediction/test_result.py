"""A result as files and as an image."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssul.prediction.drawing import legend_entries, paint
from ssul.prediction.result import Prediction

NAMES = {0: "background", 1: "ball", 7: "a\nvery \ud800 long name that has no end"}
PALETTE = ((0, 0, 0), (255, 0, 0), *[(0, 0, 0)] * 5, (0, 0, 255))
IMAGE = np.full((40, 60, 3), 100, dtype=np.uint8)


def example(*, unknown: bool = False) -> Prediction:
    """A quarter ball, a quarter of another class, and of the other half the lower part unknown."""
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[:20, :30], mask[:20, 30:] = 1, 7
    marked = np.zeros((40, 60), dtype=bool)
    marked[30:] = True
    score = np.where(marked, np.float32(0.6), np.float32(0))
    return Prediction(IMAGE, mask, NAMES, PALETTE, *((score, marked) if unknown else (None, None)))


def test_classes_are_coloured_and_outlined_and_the_background_stays() -> None:
    picture = np.asarray(example().overlay(legend=False))
    assert picture.shape == IMAGE.shape
    assert picture[5, 5].tolist() == [185, 45, 45]  # 45 % of the image, 55 % of the colour
    assert picture[19, 5].tolist() == [255, 0, 0]
    assert (picture[20:] == 100).all()


def test_the_unknown_is_hatched_light_and_dark() -> None:
    mask, marked = np.zeros((40, 60), dtype=np.uint8), np.zeros((40, 60), dtype=bool)
    marked[10:30, 10:50] = True
    picture = paint(IMAGE, mask, PALETTE, marked)
    assert (picture[~marked] == 100).all()
    assert {tuple(pixel) for pixel in picture[12:28, 12:48].reshape(-1, 3).tolist()} == {(224, 224, 224), (64, 62, 77)}


def test_the_legend_names_what_is_shown_the_greatest_first() -> None:
    entries = legend_entries({0: 0.5, 7: 0.3, 1: 0.2}, NAMES, PALETTE, 0.4996)
    assert [words for words, _ in entries] == [
        "a very long name that has...  30.0 %",
        "ball  20.0 %",
        "unknown  50.0 %",
        "background  < 0.1 %",
    ]
    assert [colour for _, colour in entries] == [(0, 0, 255), (255, 0, 0), None, (255, 255, 255)]


@pytest.mark.parametrize(("times", "shown"), [(1, 7), (10, 10)])
def test_an_overlay_is_above_its_legend_and_small_images_are_enlarged(times: int, shown: int) -> None:
    small = example(unknown=True)
    image, mask, unknown = (one.repeat(times, 0).repeat(times, 1) for one in (IMAGE, small.mask, small.unknown))
    sheet = Prediction(image, mask, NAMES, PALETTE, None, unknown).overlay()
    width, height, left = 60 * shown, 40 * shown, (sheet.width - 60 * shown) // 2
    assert sheet.height > height
    mask, unknown = (one.repeat(shown, 0).repeat(shown, 1) for one in (small.mask, small.unknown))
    expected = paint(np.full((height, width, 3), 100, dtype=np.uint8), mask, PALETTE, unknown)
    assert np.array_equal(sheet.crop((left, 0, left + width, height)), expected)


def test_the_files_hold_ids_scores_and_shares(tmp_path: Path) -> None:
    example(unknown=True).save(tmp_path, "sub/photo")
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert written == [
        f"{kind}/sub/photo.{end}"
        for kind, end in (("classes", "json"), ("masks", "png"), ("overlays", "jpg"), ("unknown", "png"))
    ]
    with Image.open(tmp_path / "masks/sub/photo.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(mask, example().mask)
    with Image.open(tmp_path / "unknown/sub/photo.png") as score:
        assert np.unique(score).tolist() == [0, 153]
    content = json.loads((tmp_path / "classes/sub/photo.json").read_text())
    assert (content["width"], content["height"]) == (60, 40)
    assert [(one["id"], one["share"]) for one in content["classes"]] == [(0, 0.5), (1, 0.25), (7, 0.25)]
    assert content["unknown"] == {"share": 0.25}


def test_without_the_unknown_no_file_of_it_is_written(tmp_path: Path) -> None:
    example().save(tmp_path, "photo")
    assert not (tmp_path / "unknown").exists()
    assert "unknown" not in json.loads((tmp_path / "classes/photo.json").read_text())
