"""Every benchmark runs at its smallest size, and finds both ways equal. No test asserts a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_page_of_figures_names_every_benchmark() -> None:
    page = (PROJECT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"benchmarks.{name}" not in page] == []
