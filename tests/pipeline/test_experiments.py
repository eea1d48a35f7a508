"""Many experiments: a queue with two workers, a killed one, steps from the cache; MLflow stays right in all of it.

The tests of this module run in order: the first three over one clone, the others over a second one.
"""

import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.clone import TINY, Clone, make_clone, succeeded, switches

pytestmark = pytest.mark.slow

ONE_INCREMENT = (*TINY, "scenario.increment=4")
QUEUED = {"rehearsing": ("memory.capacity=4",), "tuned": ("method=finetune",)}


@pytest.fixture(scope="module", autouse=True)
def live() -> Any:
    """Shows every training in MLflow while it runs, however short it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSUL_LIVE_AFTER", "0")
        yield


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A fresh clone in which two workers have run the two experiments of a queue."""
    clone = make_clone(tmp_path_factory.mktemp("queue"), *ONE_INCREMENT)
    for name, overrides in QUEUED.items():
        succeeded(clone.dvc("exp", "run", "--queue", "-n", name, *switches(*ONE_INCREMENT, *overrides)))
    work_off(clone, workers=2, experiments=len(QUEUED))
    return clone


def work_off(clone: Clone, *, workers: int, experiments: int) -> None:
    """Starts workers and waits until so many experiments have ended: one that begins is neither queued nor running."""
    assert clone.background("queue", "start", "-j", str(workers)).wait(timeout=120) == 0
    wait(lambda: len(re.findall("Success|Failed", clone.dvc("queue", "status").text)) == experiments, seconds=540)


def wait(done: Any, *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(1)


class Page:
    """The runs in a clone's MLflow store."""

    def __init__(self, clone: Clone) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(f"sqlite:///{clone.root / 'mlflow.db'}")

    def runs(self, condition: str) -> list[Any]:
        experiment = self.client.get_experiment_by_name("ssul")
        return list(self.client.search_runs([experiment.experiment_id], condition)) if experiment else []

    def parents(self) -> dict[str, Any]:
        found = self.runs("tags.`ssul.fingerprint` LIKE '%'")
        names = [run.data.tags.get("dvc.experiment", run.info.run_id) for run in found]
        assert len(set(names)) == len(names)
        return dict(zip(names, found, strict=True))

    def children(self, parent: Any) -> dict[str, Any]:
        found = self.runs(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        steps = [run.data.tags["ssul.step"] for run in found]
        assert len(set(steps)) == len(steps)
        return dict(zip(steps, found, strict=True))

    def points(self, run: Any, key: str) -> list[int]:
        found = sorted(point.step for point in self.client.get_metric_history(run.info.run_id, key))
        assert max(Counter(found).values(), default=1) == 1, f"{key} has points twice"
        return found


def test_two_queue_workers_on_a_fresh_store_leave_two_complete_runs(queue: Clone) -> None:
    status = queue.dvc("queue", "status").text
    assert len(re.findall("Success", status)) == 2, status + queue.dvc("queue", "logs", "tuned").text[-3000:]
    page = Page(queue)
    parents = page.parents()
    assert set(parents) == set(QUEUED)
    for parent in parents.values():
        assert parent.info.status == "FINISHED"
        assert page.points(parent, "miou_all") == [0, 1]
        assert page.points(parent, "miou_new") == [1]
        children = page.children(parent)
        assert set(children) == {"0", "1"}
        for child in children.values():
            iterations = page.points(child, "loss")
            assert iterations == list(range(1, len(iterations) + 1))


def test_the_queue_runs_the_code_as_it_was_changed(queue: Clone) -> None:
    stage = queue.root / "stages" / "splits.py"
    text = stage.read_text(encoding="utf-8")
    stage.write_text(text.replace("def main() -> None:\n", "def main() -> None:\n    print('changed', 'code')\n", 1))
    assert "'changed', 'code'" in stage.read_text(encoding="utf-8")
    same = switches(*ONE_INCREMENT, *QUEUED["rehearsing"])
    succeeded(queue.dvc("exp", "run", "--queue", "-n", "changed", *same))
    stage.write_text(text, encoding="utf-8")  # the queue keeps the code as it was when the experiment was queued
    work_off(queue, workers=1, experiments=len(QUEUED) + 1)
    assert "changed code" in queue.dvc("queue", "logs", "changed").text
    parents = Page(queue).parents()
    assert len(parents) == len(QUEUED) + 1  # other code is another experiment, even where it computes the same
    assert parents["changed"].data.tags["git.dirty"] == "true"
    assert parents["tuned"].data.tags["git.dirty"] == "false"


def test_the_table_of_make_experiments_fits_160_columns(queue: Clone) -> None:
    target = queue.command("make", "-n", "--no-print-directory", "experiments").text.partition("dvc exp show")[2]
    words = shlex.split(target.replace("\\\n", " "))
    table = succeeded(queue.dvc("exp", "show", *words)).text
    assert all(name in table for name in QUEUED)
    assert all(column in table for column in ("final.new", "memory.capacity", "method.name"))
    assert max(map(len, table.splitlines())) <= 160


def test_all_experiments_stand_in_one_table(queue: Clone) -> None:
    succeeded(queue.command(str(Path(sys.executable).with_name("ssul")), "table"))
    text = (queue.root / "reports" / "results.md").read_text(encoding="utf-8")
    assert "| finetune |" in text
    assert "shapes" in text
    assert (queue.root / "reports" / "results.png").is_file()


def test_steps_from_the_cache_are_in_the_run_with_all_their_points(clone: Clone) -> None:
    for folder in ("checkpoints", "evaluation", "memory"):
        shutil.rmtree(clone.root / "data" / folder)
    (clone.root / "dvc.lock").unlink()
    outcome = succeeded(clone.experiment("scenario.order=[1,2,3,4,5,6,7,8,10]"))
    trained = {"train_base", "train_step@1", "train_step@2"}
    assert trained & set(outcome.ran) == {"train_step@2"}
    assert trained & set(outcome.restored) == {"train_base", "train_step@1"}
    page = Page(clone)
    (parent,) = (run for run in page.parents().values() if run.data.params["scenario.order"].startswith("["))
    assert page.points(parent, "miou_all") == [0, 1, 2]
    children = page.children(parent)
    assert set(children) == {"0", "1", "2"}
    assert all(page.points(child, "loss") for child in children.values())


def test_a_killed_experiment_that_is_run_again_is_in_mlflow_once(clone: Clone) -> None:
    words = ["exp", "run", "-n", "killed", *switches(*ONE_INCREMENT, "recipe.increment.epochs=60")]
    process = clone.background(*words)
    page = Page(clone)

    def shown() -> bool:
        running = [run for run in page.parents().values() if run.data.params.get("recipe.increment.epochs") == "60"]
        return bool(running) and any(page.points(child, "loss") for child in page.children(running[0]).values())

    wait(lambda: shown() or process.poll() is not None, seconds=540)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    clone.repair()
    succeeded(clone.dvc(*[word if word != "killed" else "again" for word in words]))
    (parent,) = (run for run in page.parents().values() if run.data.params["recipe.increment.epochs"] == "60")
    assert parent.info.status == "FINISHED"
    assert page.points(parent, "miou_all") == [0, 1]
    children = page.children(parent)
    assert set(children) == {"0", "1"}
    for child in children.values():
        assert child.info.status == "FINISHED"
        assert page.points(child, "loss")
