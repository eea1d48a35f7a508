"""The rules of the house that no linter checks."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_the_library_and_the_training_stages_need_neither_dvc_nor_mlflow_nor_hydra() -> None:
    code = (
        "import sys\n"
        "for name in ('dvc', 'mlflow', 'hydra', 'omegaconf'): sys.modules[name] = None\n"
        "import ssul.cli, stages.prepare, stages.train_step, stages.evaluate, stages.report"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def test_no_module_is_a_drawer() -> None:
    names = {path.stem for folder in ("ssul", "stages") for path in (PROJECT / folder).rglob("*.py")}
    assert not names & {"utils", "helpers", "common", "misc"}


def test_one_module_reads_the_environment() -> None:
    readers = [
        str(path.relative_to(PROJECT))
        for folder in ("ssul", "stages")
        for path in sorted((PROJECT / folder).rglob("*.py"))
        if "os.environ" in path.read_text(encoding="utf-8") or "getenv" in path.read_text(encoding="utf-8")
    ]
    assert readers == ["ssul/environment.py"]


def test_a_stage_is_at_most_fifty_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (PROJECT / "stages").glob("*.py")}
    assert max(lengths.values()) <= 50, lengths
