"""The figures: present, of legible size, the same bytes each time."""

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image

from ssul.data.index import ImageIndex
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.results import Results
from ssul.labels.colours import id_colours
from ssul.labels.ids import VOID
from ssul.report import curves, images
from ssul.report.curves import draw_curves, draw_training
from ssul.report.figures import draw_all
from ssul.report.heatmaps import borders, draw_class_iou, draw_confusion, most_confused
from ssul.report.images import draw_examples
from ssul.report.memory import ShownExemplar, draw_memory
from ssul.report.style import evenly_spaced

LEARNED = [("ball", "star"), ("house",)]
NAMES = ("background", "ball", "star", "house")
SHAPES = find_dataset("shapes")
INDEX = ImageIndex("shapes", SHAPES.classes, SHAPES.val, SHAPES.values, ())


def row(step: int, iou: dict[str, float | None]) -> dict[str, Any]:
    new = 0.3 if step else None
    return {"step": step, "old": 0.8 / (1 + 0.1 * step), "new": new, "all": 0.7, "iou": iou}


ROWS = (row(0, {"background": 0.9, "ball": 0.7, "star": None}), row(1, dict.fromkeys(NAMES, 0.5)))
CONFUSION = ((9, 1, 0, 0), (2, 8, 0, 0), (0, 0, 0, 0), (1, 1, 1, 7))


def curve(step: int, points: int) -> dict[str, Any]:
    drawn = [{"iteration": 3 * place + 3, "loss": 4.0 / (place + 1), "lr": 0.1} for place in range(points)]
    return {"step": step, "iterations": 3 * points, "points": drawn}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of example images that an evaluation saves."""
    folder = tmp_path / "saved"
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


RESULTS = Results("shapes", True, NAMES, (2, 1), 9, ROWS, CONFUSION, (curve(0, 10),))


def draw(folder: Path, saved: Path, results: Results = RESULTS) -> list[str]:
    folder.mkdir(exist_ok=True)
    shown = [ShownExemplar(saved / "wide" / "image.jpg", ("cat",))] if saved.is_dir() else []
    examples = sorted(saved.iterdir()) if saved.is_dir() else []
    return draw_all(folder, results, examples=examples, exemplars=shown, index=INDEX, palette=SHAPES.palette)


def pixels_of(path: Path) -> NDArray[np.uint8]:
    """(N, 3): the colours of all pixels."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).reshape(-1, 3)


def white(path: Path) -> int:
    return int(np.all(pixels_of(path) == 255, axis=-1).sum())


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


# ---- all figures ----------------------------------------------------------------------------------------------------


def test_every_figure_has_the_same_bytes_twice_and_no_metadata(tmp_path: Path, saved: Path) -> None:
    before = dict(matplotlib.rcParams)
    for name in ("one", "two"):
        names = draw(tmp_path / name, saved)
    drawn = ["class_iou", "confusion", "examples", "memory", "miou_per_step", "training"]
    assert names == [f"{name}.png" for name in drawn]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
        with Image.open(tmp_path / "one" / name) as image:
            assert set(image.info) <= {"dpi"}
    assert dict(matplotlib.rcParams) == before


def test_without_content_there_is_no_figure(tmp_path: Path) -> None:
    names = draw(tmp_path / "figures", tmp_path / "none", replace(RESULTS, training=()))
    assert names == ["class_iou.png", "confusion.png", "miou_per_step.png"]


def test_a_hundred_and_fifty_classes_have_figures_that_fit_on_a_page(tmp_path: Path) -> None:
    many = [f"a long name of class {number}" for number in range(150)]
    learned = [many[:100], *(many[start : start + 5] for start in range(100, 150, 5))]
    ends = [sum(map(len, learned[: step + 1])) for step in range(len(learned))]
    rows = [row(step, dict.fromkeys(("background", *many[:end]), 0.5)) for step, end in enumerate(ends)]
    counts = tuple(map(tuple, np.random.default_rng(0).integers(0, 1000, (151, 151)).tolist()))
    sizes, names = tuple(map(len, learned)), ("background", *many)
    draw(tmp_path, tmp_path / "none", Results("ade", True, names, sizes, 9, tuple(rows), counts))
    for name in ("class_iou", "confusion", "miou_per_step"):
        width, height = size(tmp_path / f"{name}.png")
        assert width < 1800, name
        assert height < 2800, name


# ---- example images -------------------------------------------------------------------------------------------------


@pytest.fixture
def legend(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of the legend."""
    written: list[str] = []
    legend = images.Figure.legend
    monkeypatch.setattr(
        images.Figure,
        "legend",
        lambda self, handles, labels, **look: written.extend(labels) or legend(self, handles, labels, **look),
    )
    return written


def test_the_examples_show_the_colours_of_truth_and_prediction_and_name_them(
    tmp_path: Path, saved: Path, legend: list[str]
) -> None:
    path = tmp_path / "examples.png"
    draw_examples(path, sorted(saved.iterdir()), LEARNED, INDEX, SHAPES.palette)
    colours = {tuple(colour) for colour in np.unique(pixels_of(path), axis=0).tolist()}
    assert {SHAPES.palette[0], SHAPES.palette[1], SHAPES.palette[3]} <= colours
    assert legend == ["background", "ball (0)", "house (1)"]


def test_the_legend_names_void_and_both_of_two_long_names_that_start_alike(
    tmp_path: Path, saved: Path, legend: list[str]
) -> None:
    with Image.open(saved / "wide" / "truth.png") as image:
        ids = np.array(image)
    ids[0, 0], ids[1, 1] = VOID, 2
    Image.fromarray(ids).save(saved / "wide" / "truth.png")
    names = ("a name that is longer than any column", "a name that is longer than any other", "house")
    index = replace(INDEX, class_names=names)
    draw_examples(tmp_path / "examples.png", sorted(saved.iterdir()), [names], index, SHAPES.palette)
    cut = "a name that is longer..."
    assert legend == ["background", cut, cut, "house", "void (not evaluated)"]


def test_all_of_few_steps_are_shown_and_of_many_the_first_some_and_the_last() -> None:
    assert evenly_spaced(1, 5) == [0]
    assert evenly_spaced(5, 5) == [0, 1, 2, 3, 4]
    assert evenly_spaced(11, 5) == [0, 2, 5, 8, 10]
    assert all(len(set(evenly_spaced(count, 5))) == min(count, 5) for count in range(1, 60))


# ---- curves ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[Text, Bbox]:
    """The place of every word that is drawn."""
    places: dict[Text, Bbox] = {}
    draw = Text.draw

    def note(word: Text, renderer: Any, *more: Any) -> None:
        draw(word, renderer, *more)
        if word.get_text() and word.get_visible():
            places[word] = word.get_window_extent(renderer)

    monkeypatch.setattr(Text, "draw", note)
    return places


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("curves", 2),
        ("curves", 11),
        ("curves", 72),
        ("curves", 150),
        ("training", 2),
        ("training", 11),
        ("training", 72),
    ],
)
def test_the_words_of_short_and_long_scenarios_do_not_overlap(
    tmp_path: Path, kind: str, steps: int, written: dict[Text, Bbox]
) -> None:
    if kind == "curves":
        draw_curves(tmp_path / "figure.png", [row(step, {}) for step in range(steps)], [("a class",)] * steps)
    else:
        draw_training(tmp_path / "figure.png", [curve(step, 20) for step in range(steps)])
    pairs = combinations(written.items(), 2)
    assert [(one.get_text(), other.get_text()) for (one, box), (other, second) in pairs if box.overlaps(second)] == []


@pytest.mark.parametrize("steps", [1, 2, 11, 19, 51])
def test_curves_of_short_and_long_scenarios_fit_on_a_page(tmp_path: Path, steps: int) -> None:
    rows = [row(step, {}) for step in range(steps)]
    draw_curves(tmp_path / "curve.png", rows, [(f"a class called {step}",) for step in range(steps)])
    width, height = size(tmp_path / "curve.png")
    assert 600 < width < 2000
    assert 400 < height < 1000


def test_a_score_that_is_never_defined_draws_no_curve(tmp_path: Path) -> None:
    nothing = {"step": 0, "old": None, "new": None, "all": None, "iou": {}}
    draw_curves(tmp_path / "curve.png", [nothing], [("a",)])
    assert (tmp_path / "curve.png").is_file()


@pytest.mark.parametrize(
    "values", [{"old": 50.0, "all": 50.0, "new": 50.0}, {"old": 0.0, "new": 0.0}, {"old": 99.0, "new": 100.0}], ids=str
)
def test_labels_at_the_ends_of_curves_do_not_overlap_and_stay_within_the_axes(values: dict[str, float]) -> None:
    places = sorted(curves._apart(values, gap=6).values())
    assert all(high - low > 5.9 for low, high in pairwise(places))
    assert 0 <= places[0] <= places[-1] <= 100


def test_the_training_has_a_panel_for_each_step_and_more_steps_make_it_wider(tmp_path: Path) -> None:
    draw_training(tmp_path / "two.png", [curve(0, 100), curve(1, 1)])
    draw_training(tmp_path / "nine.png", [curve(step, 20) for step in range(9)])
    assert size(tmp_path / "nine.png")[0] > size(tmp_path / "two.png")[0]


# ---- heat maps ------------------------------------------------------------------------------------------------------


def test_a_class_that_is_not_learned_yet_leaves_its_cell_blank(tmp_path: Path) -> None:
    learned, first = [("a",)] * 4, {"background": 0.5, "a": 0.5}
    draw_class_iou(tmp_path / "known.png", [row(0, first), row(1, first)], learned)
    draw_class_iou(tmp_path / "later.png", [row(0, {"background": 0.5}), row(1, first)], learned)
    assert white(tmp_path / "later.png") > white(tmp_path / "known.png") + 1000


def test_a_class_that_the_truth_does_not_show_has_a_blank_row_of_confusions(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "shown.png", [[1, 0], [1, 1]], ["a", "b"], [1])
    draw_confusion(tmp_path / "absent.png", [[1, 0], [0, 0]], ["a", "b"], [1])
    assert white(tmp_path / "absent.png") > white(tmp_path / "shown.png") + 1000


def test_lines_separate_the_classes_of_two_steps_and_the_background_where_it_is_counted() -> None:
    assert borders(1 + 6, [3, 2, 1]) == [1, 4, 6]
    assert borders(6, [3, 2, 1]) == [3, 5]
    assert borders(6, [6]) == []


def test_names_with_the_letters_of_formulas_are_drawn_as_they_are(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curve.png", ROWS, [("$x_{", "50% \\alpha"), ("a & b",)])
    draw_confusion(tmp_path / "confusion.png", [[1, 0], [0, 1]], ["$\\frac{", "$"], [1])


def test_a_long_name_does_not_widen_a_figure(tmp_path: Path) -> None:
    for name, figure in (("n" * 24, "short.png"), ("n" * 300, "long.png")):
        draw_confusion(tmp_path / figure, [[1, 0], [1, 1]], ["background", name], [1])
    assert size(tmp_path / "long.png")[0] <= size(tmp_path / "short.png")[0]


def test_the_most_confused_of_many_classes_are_shown_in_their_order() -> None:
    assert most_confused(np.zeros((5, 5)), most=5) == [0, 1, 2, 3, 4]
    assert len(most_confused(np.eye(60))) == 40
    shares = 100 * np.eye(6)
    shares[5, 1], shares[4, 2], shares[3, 0] = 30, 20, 10
    shares[0] = np.nan  # the truth does not show this class
    assert most_confused(shares, most=2) == [1, 5]
    assert most_confused(shares, most=3) == [1, 5]  # the next pair does not fit
    assert most_confused(shares, most=4) == [1, 2, 4, 5]


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_the_memory_shows_every_exemplar_in_at_most_six_rows(tmp_path: Path, saved: Path) -> None:
    names = ("cat", "a class with a name that is far too long for any line", "dog", "cow")
    heights = {}
    for number in (1, 9, 48, 300):
        draw_memory(tmp_path / "memory.png", [ShownExemplar(saved / "wide" / "image.jpg", names)] * number)
        heights[number] = size(tmp_path / "memory.png")[1]
    assert heights[1] < heights[9] < heights[48]
    assert heights[300] == pytest.approx(heights[48], abs=4)


def test_exemplars_are_shown_by_their_centre_square_unstretched(tmp_path: Path) -> None:
    stripes = np.zeros((40, 120, 3), np.uint8)
    stripes[:, 40:80] = (0, 200, 0)  # the centre square is all green
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    draw_memory(tmp_path / "memory.png", [ShownExemplar(tmp_path / "stripes.png", ())])
    pixels = pixels_of(tmp_path / "memory.png")
    assert (pixels == (0, 200, 0)).all(axis=1).sum() > 5000
    coloured = pixels[np.abs(pixels.astype(int) - pixels.mean(axis=1, keepdims=True)).max(axis=1) > 40]
    assert (coloured[:, 1] > coloured[:, 0]).all()
