"""Every benchmark runs at its smallest size, and finds both ways equal. No test asserts a time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu.__main__ import PARTS
from tests.conftest import HandmadeDataset

PROJECT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (PROJECT / "benchmarks").glob("*.py") if path.stem not in ("__init__", "measure"))

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_its_table_and_finds_both_ways_equal(name: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--smoke", "--json", str(file)],
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # other tests run beside it
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(file.read_text())
    assert rows
    for row in rows:
        assert {"name", "ratio", "target", "equal"} <= set(row)
        assert row["ratio"] > 0
        assert row["equal"] is not False, row
        assert row["name"] in done.stdout
    assert any(row["equal"] for row in rows) or name == "pipeline_overhead"


def test_all_that_a_gpu_must_show_runs_on_a_cpu_in_small(book: HandmadeDataset, tmp_path: Path) -> None:
    ids = [f"{number:02d}" for number in range(1, 21)]
    for number, image_id in enumerate(ids, start=1):
        mask = np.zeros((48, 64))
        mask[8:40, 8:56] = number  # every class has an image
        book.add(image_id, mask, saliency=mask)
    for name in ("train_aug", "val"):
        book.list_images(name, ids)
    rows = gpu_benchmark(tmp_path, "--images", str(book.root))
    assert {row["part"] for row in rows} == {*PARTS, "projection"}
    assert [row for row in rows if row["equal"] is False] == []
    assert sum(part.seconds for part in PARTS.values()) <= 8 * 60
    hours = [row for row in rows if row["unit"] == "hours"]
    assert [row["name"].partition(" in ")[0] for row in hours] == ["VOC 15-1", "ADE 100-5"]
    assert all(row["ratio"] > 0 for row in hours)


def test_a_part_that_fails_loses_nothing_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    rows = gpu_benchmark(tmp_path, "--only", "feeding", "evaluation", "--images", str(tmp_path / "empty"))
    assert [row["name"] for row in rows if row["equal"] is False] == ["feeding is incomplete"]
    assert "there are no images" in next(row["detail"] for row in rows if row["part"] == "feeding")
    assert any(row["part"] == "evaluation" and row["equal"] for row in rows)


def gpu_benchmark(folder: Path, *words: str) -> list[dict[str, Any]]:
    """The rows of the benchmark for GPUs, in small."""
    file = folder / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--small", "--json", str(file), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SSUL_ACCELERATOR": "cpu"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(file.read_text()))


def test_the_page_of_figures_names_every_benchmark() -> None:
    page = (PROJECT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert [name for name in (*NAMES, "gpu") if f"benchmarks.{name}" not in page] == []
