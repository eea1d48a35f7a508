"""The console command."""

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from ssul.cli import app

PROJECT = Path(__file__).parents[1]


def test_scenarios_are_listed_with_the_classes_of_each_step() -> None:
    result = CliRunner().invoke(app, ["scenarios", "--root", str(PROJECT)])
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in result.output.splitlines()}
    assert lines["voc_15-1"] == "15 + 1 + 1 + 1 + 1 + 1"
    assert lines["shapes_offline"] == "10"


def test_show_before_any_run_says_what_to_do(tmp_path: Path) -> None:
    code = "import sys; from ssul.cli import main; sys.argv[1:] = ['show']; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "dvc repro" in done.stderr
