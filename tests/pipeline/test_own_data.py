"""Data that the project has never seen: described in one YAML, or lying on disk as VOC and ADE20K publish it."""

import json
import re

import pytest

from ssul.data.index import ImageIndex
from ssul.datasets.catalog import find_dataset
from ssul.datasets.shapes.world import draw_world
from ssul.evaluation.image_counts import read_counts
from tests.pipeline.clone import LITTLE, Clone, Outcome, rows, succeeded, switches
from tests.pipeline.street_world import CLASSES, draw_street_world
from tests.project import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]

SHARED = PROJECT.parent / "shared" / "data"
real_data = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside this checkout")


def run(clone: Clone, *overrides: str) -> Outcome:
    return succeeded(clone.dvc("exp", "run", *switches(*overrides)))


@pytest.fixture(scope="module")
def street(fresh: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that knows the street world."""
    root = tmp_path_factory.mktemp("street")
    draw_street_world(root, train=40, val=10)
    places = {
        key: {"image": f"images/{split}/{{id}}.jpg", "mask": f"annotations/{split}/{{id}}.png"}
        for key, split in (("train", "training"), ("val", "validation"))
    }
    fresh.describe("street", root, classes=list(CLASSES), **places)
    return fresh


def test_thirty_classes_in_ades_layout_run_in_an_order_of_names_with_held_out_images_and_the_papers_protocols(
    street: Clone,
) -> None:
    order = [*reversed(CLASSES)]
    asked = ("data=street", f"scenario.order=[{','.join(order)}]", "scenario.base_classes=28", "data.holdout=0.25")
    run(street, *LITTLE, *asked, "memory.capacity=6")
    split = json.loads((street.root / "data" / "splits" / "step_1.json").read_text())
    assert split["class_names"] == order
    assert split["groups"] == [list(range(30, 2, -1)), [2, 1]]
    assert split["holdout"]
    assert not set(split["holdout"]) & set(split["images"])
    assert [row["step"] for row in rows(street)] == [0, 1]
    assert all(0 <= row["holdout_all"] <= 1 for row in rows(street))
    assert judged_pixels(street) == 10 * 96 * 72
    per_class = json.loads((street.root / "reports" / "metrics.json").read_text())["per_class_iou"]
    assert list(per_class) == ["background", *order]
    page = (street.root / "reports" / "index.md").read_text()
    assert "street\\_28-2" in page or "street_28-2" in page
    assert "red disc" in page

    outcome = run(street, *LITTLE, *asked, "memory.capacity=6", "evaluation.protocol=crop", "evaluation.images=seen")
    assert sorted(outcome.ran) == ["evaluate_base", "evaluate_step@1", "report"]
    present = ImageIndex.read(street.root / "data" / "index" / "val.json").present
    for step, learned in ((0, set(range(3, 31))), (1, set(range(1, 31)))):
        counts = read_counts(street.root / "data" / "evaluation" / f"step_{step}")
        assert list(counts) == [image_id for image_id, shown in present.items() if learned & set(shown)]
    assert judged_pixels(street) == len(counts) * 64 * 64


def judged_pixels(clone: Clone) -> int:
    results = json.loads((clone.root / "data" / "evaluation" / "step_1" / "results.json").read_text())
    return sum(map(sum, results["confusion"]))


def test_the_pages_example_of_own_data_works_as_typed(fresh: Clone) -> None:
    """The page runs it after `make repro`, whose drawn images it needs: here a few images and a narrow network."""
    palette = find_dataset("shapes").palette
    for _ in draw_world(fresh.root / "data" / "drawn", seed=0, train=24, val=6, height=48, width=64, palette=palette):
        pass
    page = (PROJECT / "docs" / "own_data.md").read_text(encoding="utf-8")
    example = re.search(r"<!-- own data: begin -->\n```bash\n(.*?)```\n<!-- own data: end -->", page, flags=re.DOTALL)
    assert example is not None
    little = " ".join(f"-S {item}" for item in (*LITTLE, "scenario.increment=4"))
    succeeded(fresh.command("bash", "-ec", f"{example[1].rstrip()} {little}"))
    assert len(rows(fresh)) == 2


@real_data
def test_real_photographs_run_through_the_pipeline(fresh: Clone) -> None:
    run(fresh, "scenario=voc_15-5", f"data.root={SHARED / 'voc_2007'}", "setting=partitioned", *LITTLE)
    assert [row["step"] for row in rows(fresh)] == [0, 1]
    assert "partitioned" in (fresh.root / "reports" / "index.md").read_text()


@real_data
def test_real_ade20k_pairs_are_indexed_split_encoded_trained_and_judged(fresh: Clone) -> None:
    run(fresh, "scenario=ade_100-50", f"data.root={SHARED / 'ade_mini'}", *LITTLE)
    splits = [json.loads((fresh.root / "data" / "splits" / f"step_{step}.json").read_text()) for step in (0, 1)]
    assert [len(split["images"]) for split in splits] == [6, 3]
    assert [row["step"] for row in rows(fresh)] == [0, 1]
