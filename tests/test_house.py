"""The rules of the house that no linter checks."""

import ast
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


def test_torch_load_is_called_where_foreign_weights_are_read_and_never_unpickles_code() -> None:
    loaders = ("torch.load", "pickle.load", "pickle.loads")
    calls = [
        (path.name, {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords})
        for path in (PROJECT / "ssul").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in loaders
    ]
    assert [name for name, _ in calls] == ["torch_files.py"]
    assert all(keywords["weights_only"] == "True" for _, keywords in calls)


def test_no_module_is_a_drawer() -> None:
    names = {path.stem for folder in ("ssul", "stages") for path in (PROJECT / folder).rglob("*.py")}
    assert not names & {"utils", "helpers", "common", "misc"}
