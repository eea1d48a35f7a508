"""dvc's plots in a real browser that reaches no network."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.clone import Clone, Outcome, succeeded

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]

STEPS = (("background", "ball", "star", "house", "fish", "heart", "flower"), ("mushroom", "moon"), ("kite", "gem"))
LEARNED_AT = {name: step for step, names in enumerate(STEPS) for name in names}


@pytest.fixture
def browser() -> Iterator["Page"]:
    """A browser that reads files and nothing else; at the end no script has failed."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium in the path (Debian: apt install chromium)")
    play = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed (pip install vl-convert-python)")
    failed: list[str] = []
    with play.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = one.new_page()
        page.route(lambda url: not url.startswith(("file:", "data:", "blob:")), lambda route: route.abort())
        page.on("requestfailed", lambda request: failed.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        yield page
        one.close()
    assert failed == []


def open_plots(clone: Clone, page: "Page", *words: str) -> list[str]:
    """Opens the page of a dvc command; returns the words of each plot, one a line, in the order of the page."""
    (place,) = re.findall(r"file://\S+", succeeded(clone.dvc("plots", *words)).text)
    page.goto(place)
    page.wait_for_function("document.querySelectorAll('svg.marks').length === 3")
    words_of = "plot => [...plot.querySelectorAll('text')].map(one => one.textContent).join('\\n')"
    found: list[str] = page.evaluate(f"[...document.querySelectorAll('svg.marks')].map({words_of})")
    return found


def pictures(page: "Page") -> list[str]:
    """The names of the files of the pictures that the browser could draw."""
    found = page.evaluate("[...document.images].filter(one => one.naturalWidth > 300).map(one => one.src)")
    return [Path(address).name.rpartition("_")[2] for address in found]


def test_every_plot_shows_without_a_network(clone: Clone, first: Outcome, browser: "Page") -> None:
    succeeded(clone.command(sys.executable, "-m", "ssul", "offline-plots"))
    assert "plots_page" not in clone.command("git", "status", "--short", ".dvc").text
    for words, revisions in ((("show",), ["workspace"]), (("diff", "HEAD"), ["workspace", "HEAD"])):
        steps, classes, loss = open_plots(clone, browser, *words)
        assert "old\nnew\nall" in steps  # a column for each
        shown = [word for word in classes.splitlines() if word in LEARNED_AT]
        assert len(shown) > 6
        assert [LEARNED_AT[name] for name in shown] == sorted(LEARNED_AT[name] for name in shown)
        assert "iteration" in loss
        if len(revisions) > 1:
            assert all("\n".join(revisions) in plot for plot in (steps, classes, loss))
        assert sorted(pictures(browser)) == sorted(["confusion.png", "examples.png"] * len(revisions))
