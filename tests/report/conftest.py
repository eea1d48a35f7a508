"""The training of an increment on drawn images, and a page in a real browser."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ssul.config.schema import Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.layout import MaskEncoding
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.data.training_set import Augmentation
from ssul.training.job import TrainingJob
from ssul.training.objective import Objective
from tests.conftest import HandmadeDataset

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def increment(book: HandmadeDataset, settings: Params) -> Callable[[Objective], TrainingJob]:
    """The training of a step that learns class 3 after 1 and 2: three new images, and two exemplars of class 1."""
    draw = np.random.default_rng(0)
    for image_id in ("a", "b", "c", "d", "e"):
        mask = draw.integers(0, 4, (5, 7)).repeat(8, axis=0).repeat(8, axis=1)
        image = draw.integers(0, 256, (5, 7, 3)).repeat(8, axis=0).repeat(8, axis=1)
        book.add(image_id, mask, saliency=mask % 2, image=image)
    order = SampleOrder(
        new=tuple(TrainingItem(image_id, (3,)) for image_id in ("a", "b", "c")),
        memory=(TrainingItem("d", (1,)), TrainingItem("e", (1, 2))),
        batch=4,
        seed=0,
        step=1,
    )

    def job(objective: Objective) -> TrainingJob:
        return TrainingJob(
            step=1,
            class_names=("kite",),
            known_names=("ball", "star", "kite"),
            objective=objective,
            method_params=None,
            order=order,
            iterations=3,
            dataset=SegmentationDataset.of_files(book.folders, MaskEncoding(), 3, saliency=True),
            augmentation=Augmentation(crop=32, scale=(0.5, 2.0)),
            optimisation=settings.recipe.increment,
            views=None,
            precision="32",
            selection=None,
            selection_name="last",
        )

    return job


@pytest.fixture
def browser_page(html: str, tmp_path: Path) -> Iterator["Page"]:
    """The page in chromium. At the end the browser has asked for nothing else, and the console is empty."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium in the path (Debian: apt install chromium)")
    play = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    path = tmp_path / "index.html"
    path.write_text(html, encoding="utf-8")
    asked: list[str] = []
    said: list[str] = []
    with play.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        yield page
        browser.close()
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    assert said == []
