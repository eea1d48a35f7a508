"""The figures: there, legible in size, the same bytes each time."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssul.data.index import ImageIndex
from ssul.datasets.catalog import find_dataset
from ssul.labels.colours import id_colours
from ssul.labels.ids import VOID
from ssul.report import curves, images
from ssul.report.curves import draw_curves
from ssul.report.figures import draw_all
from ssul.report.heatmaps import draw_class_iou, draw_confusion, most_confused
from ssul.report.images import draw_examples, shown_steps

LEARNED = [("ball", "star"), ("house",)]
NAMES = ("background", "ball", "star", "house")
WHITE = (255, 255, 255)
SHAPES = find_dataset("shapes")
INDEX = ImageIndex("shapes", SHAPES.classes, SHAPES.val, SHAPES.values, ())


def row(step: int, iou: dict[str, float | None]) -> dict[str, Any]:
    new = 0.3 if step else None
    return {"step": step, "old": 0.8 / (1 + 0.1 * step), "new": new, "all": 0.7, "iou": iou}


ROWS = [row(0, {"background": 0.9, "ball": 0.7, "star": None}), row(1, dict.fromkeys(NAMES, 0.5))]
CONFUSION = [[9, 1, 0, 0], [2, 8, 0, 0], [0, 0, 0, 0], [1, 1, 1, 7]]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for image_id, size in (("wide", (64, 48)), ("tall", (48, 64))):
        place = folder / image_id
        place.mkdir(parents=True)
        Image.new("RGB", size, (120, 160, 200)).save(place / "image.jpg")
        for name, class_id in (("truth", 3), ("step_0", 1), ("step_1", 3)):
            labels = np.zeros(size[::-1], np.uint8)
            labels[10:30, 10:30] = class_id
            mask = Image.fromarray(labels)
            mask.putpalette(id_colours(SHAPES.palette))
            mask.save(place / f"{name}.png")
    return folder


def draw(folder: Path, pictures: Path) -> list[str]:
    folder.mkdir()
    return draw_all(
        folder, rows=ROWS, learned=LEARNED, confusion=CONFUSION, pictures=pictures, index=INDEX, palette=SHAPES.palette
    )


def colours(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as picture:
        return {tuple(colour) for colour in np.unique(np.array(picture.convert("RGB")).reshape(-1, 3), axis=0).tolist()}


def white(path: Path) -> int:
    with Image.open(path) as picture:
        return int(np.all(np.array(picture.convert("RGB")) == WHITE, axis=-1).sum())


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_every_figure_is_drawn_the_same_bytes_twice(tmp_path: Path, pictures: Path) -> None:
    names = draw(tmp_path / "one", pictures)
    draw(tmp_path / "two", pictures)
    assert names == ["class_iou.png", "confusion.png", "miou_per_step.png", "pictures.png"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_no_figure_says_when_or_with_what_it_was_drawn(tmp_path: Path, pictures: Path) -> None:
    for name in draw(tmp_path / "figures", pictures):
        with Image.open(tmp_path / "figures" / name) as picture:
            assert set(picture.info) <= {"dpi"}


def test_without_kept_pictures_there_is_no_figure_of_them(tmp_path: Path) -> None:
    assert "pictures.png" not in draw(tmp_path / "figures", tmp_path / "none")


def test_the_settings_of_matplotlib_are_left_as_they_were(tmp_path: Path, pictures: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw(tmp_path / "figures", pictures)
    assert dict(matplotlib.rcParams) == before


def test_the_pictures_show_the_colours_of_truth_and_prediction(tmp_path: Path, pictures: Path) -> None:
    path = tmp_path / "pictures.png"
    draw_examples(path, sorted(pictures.iterdir()), LEARNED, INDEX, SHAPES.palette)
    assert {SHAPES.palette[0], SHAPES.palette[1], SHAPES.palette[3]} <= colours(path)


@pytest.fixture
def legend(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the legend says."""
    written: list[str] = []
    legend = images.Figure.legend
    monkeypatch.setattr(
        images.Figure,
        "legend",
        lambda self, handles, labels, **look: written.extend(labels) or legend(self, handles, labels, **look),
    )
    return written


def test_the_legend_names_the_classes_that_are_seen_and_when_they_are_learned(
    tmp_path: Path, pictures: Path, legend: list[str]
) -> None:
    draw_examples(tmp_path / "pictures.png", sorted(pictures.iterdir()), LEARNED, INDEX, SHAPES.palette)
    assert legend == ["background", "ball (0)", "house (1)"]


def test_the_legend_names_void_and_keeps_apart_long_names_that_begin_alike(
    tmp_path: Path, pictures: Path, legend: list[str]
) -> None:
    with Image.open(pictures / "wide" / "truth.png") as picture:
        ids = np.array(picture)
    ids[0, 0], ids[1, 1] = VOID, 2
    Image.fromarray(ids).save(pictures / "wide" / "truth.png")
    names = ("a name that is longer than any column", "a name that is longer than any other", "house")
    index = replace(INDEX, class_names=names)
    draw_examples(tmp_path / "pictures.png", sorted(pictures.iterdir()), [names], index, SHAPES.palette)
    assert legend == [
        "background",
        "a name that is longer...",
        "a name that is longer...",
        "house",
        "void (not judged)",
    ]


def test_a_class_that_is_not_learned_yet_leaves_its_cell_blank(tmp_path: Path) -> None:
    learned, first = [("a",)] * 4, {"background": 0.5, "a": 0.5}
    draw_class_iou(tmp_path / "known.png", [row(0, first), row(1, first)], learned)
    draw_class_iou(tmp_path / "later.png", [row(0, {"background": 0.5}), row(1, first)], learned)
    assert white(tmp_path / "later.png") > white(tmp_path / "known.png") + 1000


@pytest.mark.parametrize("steps", [1, 2, 11, 19, 51])
def test_curves_of_short_and_long_scenarios_keep_a_width_that_a_page_can_show(tmp_path: Path, steps: int) -> None:
    rows = [row(step, {}) for step in range(steps)]
    draw_curves(tmp_path / "curve.png", rows, [(f"a class called {step}",) for step in range(steps)])
    width, height = size(tmp_path / "curve.png")
    assert 600 < width < 2000
    assert 400 < height < 1000


def test_names_with_the_letters_of_formulas_are_drawn_as_they_are(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curve.png", ROWS, [("$x_{", "50% \\alpha"), ("a & b",)])
    draw_confusion(tmp_path / "confusion.png", [[1, 0], [0, 1]], ["$\\frac{", "$"], [1])


def test_a_score_that_is_never_defined_draws_no_curve(tmp_path: Path) -> None:
    nothing = {"step": 0, "old": None, "new": None, "all": None, "iou": {}}
    draw_curves(tmp_path / "curve.png", [nothing], [("a",)])
    assert (tmp_path / "curve.png").is_file()


def test_a_class_that_the_truth_does_not_show_has_a_blank_row_of_confusions(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "shown.png", [[1, 0], [1, 1]], ["a", "b"], [1])
    draw_confusion(tmp_path / "absent.png", [[1, 0], [0, 0]], ["a", "b"], [1])
    assert white(tmp_path / "absent.png") > white(tmp_path / "shown.png") + 1000


def test_few_steps_are_all_shown_and_of_many_the_first_some_and_the_last() -> None:
    assert shown_steps(1) == [0]
    assert shown_steps(5) == [0, 1, 2, 3, 4]
    assert shown_steps(11) == [0, 2, 5, 8, 10]
    assert all(len(set(shown_steps(count))) == min(count, 5) for count in range(1, 60))


def test_labels_at_the_ends_of_curves_keep_apart_and_within_the_axes() -> None:
    for values in ({"old": 50.0, "all": 50.0, "new": 50.0}, {"old": 0.0, "new": 0.0}, {"old": 99.0, "new": 100.0}):
        places = sorted(curves._apart(values, gap=6).values())
        assert all(high - low > 5.9 for low, high in pairwise(places))
        assert places[0] >= 0
        assert places[-1] <= 100


# ---- many classes ---------------------------------------------------------------------------------------------------

MANY = [f"a long name of class {number}" for number in range(150)]
STEPS = [MANY[:100], *(MANY[start : start + 5] for start in range(100, 150, 5))]


def test_a_data_set_of_a_hundred_and_fifty_classes_has_figures_that_a_page_can_show(tmp_path: Path) -> None:
    ends = [sum(map(len, STEPS[: step + 1])) for step in range(len(STEPS))]
    rows = [row(step, dict.fromkeys(("background", *MANY[:end]), 0.5)) for step, end in enumerate(ends)]
    confusion = np.random.default_rng(0).integers(0, 1000, (151, 151)).tolist()
    none = tmp_path / "none"
    draw_all(
        tmp_path, rows=rows, learned=STEPS, confusion=confusion, pictures=none, index=INDEX, palette=SHAPES.palette
    )
    for name in ("class_iou", "confusion", "miou_per_step"):
        width, height = size(tmp_path / f"{name}.png")
        assert width < 1800, name
        assert height < 2800, name


def test_a_long_name_does_not_widen_a_figure(tmp_path: Path) -> None:
    for name, figure in (("n" * 24, "short.png"), ("n" * 300, "long.png")):
        draw_confusion(tmp_path / figure, [[1, 0], [1, 1]], ["background", name], [1])
    assert size(tmp_path / "long.png")[0] <= size(tmp_path / "short.png")[0]


def test_of_few_classes_all_confusions_are_shown() -> None:
    assert most_confused(np.zeros((5, 5)), most=5) == [0, 1, 2, 3, 4]


def test_of_many_classes_the_most_confused_are_shown_in_their_order() -> None:
    shares = 100 * np.eye(6)
    shares[5, 1], shares[4, 2], shares[3, 0] = 30, 20, 10
    shares[0] = np.nan  # the truth does not show it
    assert most_confused(shares, most=2) == [1, 5]
    assert most_confused(shares, most=3) == [1, 5]  # the next pair does not fit
    assert most_confused(shares, most=4) == [1, 2, 4, 5]


def test_without_a_confusion_some_classes_are_shown_all_the_same() -> None:
    assert len(most_confused(np.eye(60))) == 40
