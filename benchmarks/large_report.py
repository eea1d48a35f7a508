"""A report of COCO-Stuff's size: 72 steps, 171 classes, 5,000 validation images; and a browser that opens its page.

    python -m benchmarks.large_report [--quick] [--page FILE] [--json FILE]

What an evaluation leaves is drawn. The report is written in a process of its own, as the stage does it. The browser's
row needs chromium and playwright, and is left out without them.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.large_index import CAPACITY, FULL, GIB, QUICK, SECONDS, SMOKE, Size, draw_index, scenario_of, used
from benchmarks.measure import Row, arguments, print_table
from ssul.config.load import load_params
from ssul.config.paths import Layout
from ssul.data.dataset import LabeledImage
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.evaluate import EvaluatedImage
from ssul.evaluation.examples import choose_examples, save_examples
from ssul.evaluation.image_counts import write_counts
from ssul.evaluation.observed import Observed
from ssul.evaluation.results import Results
from ssul.evaluation.scores import score
from ssul.evaluation.small_masks import write_masks
from ssul.inference.confusion import ConfusionMatrix
from ssul.io.atomic import write_json
from ssul.io.strict_json import read_json
from ssul.labels.background import Background
from ssul.labels.colours import voc_colours
from ssul.memory.exemplars import Exemplar, write_exemplars
from ssul.report.rows import step_rows
from ssul.report.write import write_report
from ssul.scenario.splits import make_splits
from ssul.scenario.summary import summarise

PROJECT = Path(__file__).parents[1]
EXAMPLES, SIDE, BLOCK = 24, (144, 192), 16
RIGHT = 0.7  # of the blocks of a prediction


def draw_evaluation(layout: Layout, size: Size) -> Results:
    """Draws all that the report reads, and returns the scores."""
    index = draw_index("val", size.validation, size.classes)
    index.write(layout.index("val"))
    train = draw_index("train", 20 * size.classes, size.classes)  # few images: the report shows exemplars alone
    train.write(layout.index("train"))
    palette = voc_colours(size.classes + 1)
    DatasetInfo(palette, {}, {}).write(layout.dataset_info)
    scenario = scenario_of(train, size.base)
    made = make_splits(train.present, scenario, "overlapped", names=train.class_names, seed=0, holdout=0)
    write_json(layout.split_summary, summarise(made, train.present, "overlapped"))
    last = len(made) - 1
    write_exemplars(layout.memory(last), [Exemplar(row.id, (0,), row.present) for row in train.rows[:CAPACITY]])

    folder = layout.evaluation(last)
    folder.mkdir(parents=True)
    shown = choose_examples(index, EXAMPLES)
    observed = Observed.of(draw_images(index), size.classes + 1, scored=index.present.keys(), shown=shown)
    write_masks(folder, observed.masks)
    write_counts(folder, observed.counts)
    for step in range(last + 1):
        save_examples(observed.shown, folder / "examples", step=step, palette=palette)
    results = results_of(index, observed.confusion, size)
    results.write(folder)
    return results


def draw_images(index: ImageIndex) -> Iterator[EvaluatedImage]:
    """Noise; its ground truth is blocks of the image's classes, of which some are taken for any other class."""
    chance, classes = np.random.default_rng(0), len(index.class_names) + 1
    blocks = SIDE[0] // BLOCK, SIDE[1] // BLOCK
    for row in index.rows:
        image = torch.from_numpy(chance.integers(0, 256, (3, *SIDE), dtype=np.uint8))
        truth = chance.choice(np.array((0, *row.present)), blocks)
        taken = np.where(chance.random(blocks) < RIGHT, truth, chance.integers(0, classes, blocks))
        mask, prediction = (
            torch.from_numpy(one.astype(np.uint8).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)) for one in (truth, taken)
        )
        confusion = ConfusionMatrix.of(mask, prediction, classes)
        yield EvaluatedImage(LabeledImage(row.id, image, mask, None), prediction, confusion)


def results_of(index: ImageIndex, confusion: ConfusionMatrix, size: Size) -> Results:
    """The scores of all steps; those before the last take their part of its confusion matrix."""
    steps = 1 + size.classes - size.base
    names = ("background", *index.class_names)
    rows: list[dict[str, Any]] = []
    curves = []
    for step in range(steps):
        groups, learned = (size.base, *(1,) * step), 1 + size.base + step
        part = ConfusionMatrix(confusion.counts[:learned, :learned])
        rows.append(asdict(score(part, groups, names[:learned], rows, background=Background(True, True))))
        points = [{"iteration": place, "loss": 1 / place, "lr": 0.01} for place in range(1, 101)]
        curves.append({"step": step, "learned": [names[learned - 1]], "iterations": 100, "points": points})
    matrix = tuple(tuple(row) for row in confusion.counts.tolist())
    images = len(index.rows)
    return Results("large", True, names, (size.base, *(1,) * (steps - 1)), images, tuple(rows), matrix, tuple(curves))


def report(folder: Path) -> tuple[float, float]:
    """What the stage `report` does, without MLflow; seconds of the processor, and the most memory in GiB."""
    layout = Layout(folder)
    step = max(int(place.name.removeprefix("step_")) for place in layout.evaluation(0).parent.iterdir())
    results = Results.read(layout.evaluation(step))
    summary = read_json(layout.split_summary, dict, what="the summary", way_out="")
    write_report(layout, load_params(PROJECT / "params.yaml"), results, summary, step=step)
    return used()


def opened(page: Path) -> tuple[float, int] | None:
    """Seconds until a browser has drawn the page, and its cells; None without a browser."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        view = browser.new_page()
        started = time.perf_counter()
        view.goto(page.as_uri())
        view.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # it has been painted
        seconds = time.perf_counter() - started
        cells = view.locator("td").count()
        browser.close()
    return seconds, cells


def measure(size: Size, keep: Path | None) -> list[Row]:
    """The rows."""
    with tempfile.TemporaryDirectory() as temporary:
        layout = Layout(Path(temporary))
        results = draw_evaluation(layout, size)
        words = [sys.executable, "-m", "benchmarks.large_report", "--part", temporary]
        seconds, gib = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
        page, written = layout.interactive_page, json.loads(layout.miou_per_step.read_text(encoding="utf-8"))
        complete = written == step_rows(results)
        rows = [
            Row("report", seconds, SECONDS, complete, unit="CPU seconds", at_most=True),
            Row("report: memory", gib, GIB, None, unit="GiB", at_most=True),
            Row("its page", page.stat().st_size / 2**20, None, None, unit="MiB"),
        ]
        found = opened(page)
        if found is not None:
            heat = len(results.names) * len(results.rows)
            rows.append(Row("a browser opens it", found[0], None, found[1] > heat, unit="seconds"))
        if keep is not None:
            shutil.copyfile(page, keep)
    return rows


def main() -> None:
    """Prints the table; with --part FOLDER, which it uses by itself, writes the report."""
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(report(Path(sys.argv[2]))))
        return
    parser = arguments(__doc__ or "")
    parser.add_argument("--page", type=Path, metavar="FILE", help="keep the page there")
    given = parser.parse_args()
    size = SMOKE if given.smoke else QUICK if given.quick else FULL
    print_table("a report of COCO-Stuff's size", measure(size, given.page), given.json)


if __name__ == "__main__":
    main()
