"""The page of a step's samples: what it holds, to the pixel, and how it behaves in a real browser."""

import base64
import io
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from ssul.config.schema import Params
from ssul.data.index import ImageIndex
from ssul.datasets.catalog import find_dataset
from ssul.labels.ids import BACKGROUND_ID, VOID
from ssul.report.samples import TrainingSample, first_samples
from ssul.report.samples_page import UNKNOWN_ID, write_samples_page
from ssul.training.job import TrainingJob
from ssul.training.objective import Objective
from tests.report.test_samples import ssul_step

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHAPES = find_dataset("shapes")
HOSTILE = "</script><b>kite</b>"
INDEX = ImageIndex("toy", ("ball", "star", HOSTILE), SHAPES.train, SHAPES.values, ())
IDS = [UNKNOWN_ID, BACKGROUND_ID, 1, 2, 3]  # of the channels


@pytest.fixture
def samples(increment: Callable[[Objective], TrainingJob], cpu: Fabric) -> list[TrainingSample]:
    """Of a frozen step; the top half of the first one is of the new class, which a pseudo-label makes a ball."""
    first, *others = first_samples(increment(ssul_step(freeze=True)), 4, cpu)
    target = torch.ones_like(first.target)
    target[:16] = 4
    completed = target.clone()
    completed[:, :8] = 2
    return [replace(first, target=target, completed=completed), *others]


@pytest.fixture
def html(increment: Callable[[Objective], TrainingJob], samples: list[TrainingSample], settings: Params) -> str:
    """Their page."""
    job = replace(increment(ssul_step(freeze=True)), class_names=(HOSTILE,))
    left_out = ("The memory is <em>left out</em>: run `dvc repro`.",)
    return write_samples_page(settings, job, samples, index=INDEX, palette=SHAPES.palette, left_out=left_out)


def test_the_page_holds_images_and_labels_to_the_pixel(html: str, samples: list[TrainingSample]) -> None:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html)
    assert found is not None
    for shown, one in zip(json.loads(found[1])["samples"], samples, strict=True):
        pixels = Image.open(io.BytesIO(base64.b64decode(shown["image"].partition(",")[2])))
        assert np.array_equal(np.asarray(pixels), one.image.permute(1, 2, 0).numpy())
        masks = np.frombuffer(zlib.decompress(base64.b64decode(shown["masks"])), dtype=np.uint8).reshape(2, 32, 32)
        for mask, target in zip(masks, (one.target, one.completed), strict=True):
            channels = [IDS.index(value) if value != VOID else VOID for value in mask.ravel()]
            assert target is not None
            assert channels == target.ravel().tolist()
        assert shown["exemplar"] == one.exemplar


def test_no_name_in_the_page_acts_as_markup(html: str) -> None:
    assert "<b>kite</b>" not in html
    assert "<em>left out</em>" not in html
    assert "run <code>dvc repro</code>" in html
    assert html.count("</script>") == 2


def hover(page: "Page", panel: int, across: float, down: float) -> str:
    """What stands beside the pointer over a picture of the first sample; across and down: 0..1."""
    box = page.locator("article").first.locator(".stack").nth(panel).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    return page.locator("#tip").inner_text()


def test_the_pointer_names_labels_and_a_choice_leaves_the_samples_that_show_it(browser_page: "Page") -> None:
    page = browser_page
    page.locator("article").first.scroll_into_view_if_needed()
    page.wait_for_selector("article .chips li")
    assert page.locator("article").first.locator("figcaption").all_inner_texts() == [
        "image",
        "annotation",
        "pseudo-labels",
        "trained on",
    ]
    assert hover(page, 1, 0.1, 0.1) == f"annotated: {HOSTILE}\npseudo-label: ball"
    assert hover(page, 3, 0.9, 0.9) == "background"
    assert page.locator("article").first.locator("p.note").inner_text().replace("\u00a0", " ") == (
        f"pseudo-labels: ball for {HOSTILE} 12.5 %, ball for background 12.5 %"
    )
    page.locator("#which").select_option("exemplar")
    page.wait_for_function("document.getElementById('shown').textContent === '2 of 4'")
    assert page.locator("article:visible .badge").all_inner_texts() == ["exemplar", "exemplar"]
    page.locator("#which").select_option(label="with ball")
    page.wait_for_function("document.querySelector('article').hidden === false")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
