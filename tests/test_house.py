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
