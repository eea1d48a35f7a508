"""The interactive page in a real browser: it moves, names and opens what it should, and fetches nothing."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.data.index import ImageIndex
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.image_counts import write_counts
from ssul.evaluation.results import Results
from ssul.evaluation.small_masks import write_masks
from ssul.labels.colours import id_colours
from ssul.report.interactive import write_interactive
from ssul.report.memory import ShownExemplar
from ssul.report.page import PageText
from ssul.report.rows import SCORES

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHAPES = find_dataset("shapes")
HOSTILE = "</script><b>kite</b>"
INDEX = ImageIndex("toy", ("ball", HOSTILE, "star"), SHAPES.val, SHAPES.values, ())
ROWS: tuple[dict[str, Any], ...] = tuple(
    dict.fromkeys(SCORES) | {"step": step, "old": old, "new": new, "all": everything, "iou": iou, "holdout": None}
    for step, (old, new, everything, iou) in enumerate(
        (
            (0.85, None, 0.85, {"background": 0.9, "ball": 0.8}),
            (0.7, 0.25, 0.55, {"background": 0.9, "ball": 0.5, HOSTILE: 0.25}),
        )
    )
)
CURVE = {"step": 1, "iterations": 20, "points": [{"iteration": 10, "loss": 2.0}, {"iteration": 20, "loss": 1.0}]}
RESULTS = Results(
    "toy", True, ("background", "ball", HOSTILE), (1, 1), 2, ROWS, ((8, 0, 0), (4, 2, 2), (0, 0, 4)), (CURVE,)
)
SIZE = (40, 20)  # width and height


def labels(left: int, right: int) -> Any:
    mask = np.full(SIZE[::-1], left, dtype=np.uint8)
    mask[:, SIZE[0] // 2 :] = right
    return mask


@pytest.fixture
def html(tmp_path: Path, settings: Params) -> str:
    """The page of a run of two steps: a ball on the left, the second class on the right."""
    layout = Layout(tmp_path / "run")
    example = layout.evaluation(1) / "examples" / "first"
    example.mkdir(parents=True)
    Image.new("RGB", SIZE, (90, 120, 150)).save(example / "image.jpg")
    for name, mask in (("truth", labels(1, 2)), ("step_0", labels(1, 0)), ("step_1", labels(0, 2))):
        image = Image.fromarray(mask)
        image.putpalette(id_colours(SHAPES.palette))
        image.save(example / f"{name}.png")
    write_masks(layout.evaluation(1), {"first": (labels(1, 2), labels(0, 2)), "b": (labels(1, 3), labels(1, 3))})
    write_counts(
        layout.evaluation(1), {"first": [(0, 0, 0, 400), (1, 0, 400, 0), (2, 400, 400, 400)], "b": [(1, 4, 4, 4)]}
    )
    photograph = layout.drawn / "JPEGImages" / "first.jpg"
    photograph.parent.mkdir(parents=True)
    shutil.copyfile(example / "image.jpg", photograph)
    words = PageText(
        "ssul on **toy**", "two classes", "| a |\n| - |\n| 1 |", "", "- how", "", "", "", "examples", "splits"
    )
    return write_interactive(
        layout,
        settings,
        RESULTS,
        words,
        step=1,
        index=INDEX,
        palette=SHAPES.palette,
        examples=[example],
        exemplars=[ShownExemplar(photograph, ("ball",))],
    )


def test_the_page_is_one_file_and_no_name_in_it_acts_as_markup(html: str) -> None:
    assert "<b>kite</b>" not in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in html
    assert "<title>ssul on toy</title>" in html
    assert html.count("</script>") == 2


def hover(page: "Page", panel: int, across: float) -> list[str]:
    """What stands beside the pointer over a panel of the example; across: 0..1."""
    box = page.locator("#gallery .stack").nth(panel).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + across * box["width"], box["y"] + box["height"] / 2)
    return page.locator("#tip").inner_text().replace("\u00a0", " ").splitlines()


def test_the_slider_moves_the_step_the_pointer_names_classes_and_a_cell_opens_its_images(browser_page: "Page") -> None:
    page = browser_page
    page.locator("#gallery").scroll_into_view_if_needed()
    page.wait_for_selector("#gallery .chips li")
    assert page.locator("#stepname").inner_text().startswith("after step 1 of 1")
    assert "IoU 33.3 %" in page.locator("#gallery h3").inner_text()  # 0 of background and ball, 1 of the second class
    assert hover(page, 2, 0.25) == [
        "ground truth: ball",
        "prediction: background",
        "IoU of background: 0.0 % in this image, 90.0 % in all images",
    ]
    page.keyboard.press("ArrowLeft")
    assert page.locator("#stepname").inner_text() == "after step 0 of 1: ball"
    assert hover(page, 1, 0.75)[0] == f"ground truth: {HOSTILE}, learned at step 1"
    assert "IoU 100.0 %" in page.locator("#gallery h3").inner_text()  # the right half is not evaluated yet
    page.locator("#step").fill("1")
    assert page.locator("#stepname").inner_text() == f"after step 1 of 1: {HOSTILE}"

    page.locator("#matrix tbody tr").nth(1).locator("td").first.click()
    assert page.locator("#behind h3").first.inner_text() == "50.0 % of ball is taken for background"
    assert page.locator("#behind article h3").all_inner_texts() == ["first 50.0 % of the image"]
    page.locator("#heat td").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#tip").inner_text() == "ball after step 0: 80.0 %"
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text() == "ball after step 1: 50.0 %; -30.0 since step 0"

    assert page.locator("#worstlist article h3").all_inner_texts() == ["first IoU 33.3 %", "b IoU 100.0 %"]
    page.locator("#worstof").select_option("ball")
    assert page.locator("#worstlist article h3").first.inner_text() == "first IoU of ball 0.0 %"
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
    assert page.locator("#losses svg").count() == 1
    assert page.locator("#memory figcaption").inner_text() == "ball"


def test_the_page_fits_a_phone(browser_page: "Page") -> None:
    browser_page.set_viewport_size({"width": 360, "height": 740})
    assert browser_page.evaluate("document.documentElement.scrollWidth") <= 360
