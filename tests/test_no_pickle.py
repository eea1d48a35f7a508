"""What no module does, by its syntax tree: see SECURITY.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ROOMS = ("ssul", "stages", "benchmarks", "hydra_plugins")
FILES = [path for room in ROOMS for path in sorted((PROJECT / room).rglob("*.py"))]
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "imp"}
RUNNERS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.hub.load", "torch.jit.load"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str | None, str]]]:
    """The name of every function that is called, and its keyword arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


def faults(tree: ast.Module, name: str) -> list[str]:
    """What a module does that none may."""
    found = [f"imports {module}" for module in imported(tree) if set(module.split(".")) & UNPICKLERS]
    for function, how in calls(tree):
        last = function.rpartition(".")[2]
        wrong = {
            function in RUNNERS: "runs what it is given",
            function == "torch.load" and name != "ssul/model/foreign.py": "is for ssul/model/foreign.py alone",
            function == "torch.load" and how.get("weights_only") != "True": "needs weights_only=True",
            function in ("np.load", "numpy.load") and how.get("allow_pickle") != "False": "needs allow_pickle=False",
            function.startswith("yaml.") and last.endswith("load") and last != "safe_load": "must be yaml.safe_load",
            function.startswith("yaml.") and last.endswith("load_all"): "must be yaml.safe_load",
            last in ("load_state_dict_from_url", "get_state_dict", "download_url_to_file")
            and (how.get("check_hash") != "True" or how.get("weights_only") != "True"): "needs a hash and weights_only",
            last in MODELS and how.get("weights", "None") != "None": "brings weights past their check",
            how.get("shell") == "True": "runs a shell",
            last in ("extractall", "unpack_archive"): "believes an archive's paths",
            last == "open" and function.startswith("Image") and "formats" not in how: "opens any format, EPS too",
        }
        found += [f"{function} {why}" for is_so, why in wrong.items() if is_so]
    return found


MODELS = {"resnet50", "resnet101", "mobilenet_v2"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_no_module_unpickles_or_runs_what_it_reads(path: Path) -> None:
    assert faults(tree_of(path), path.relative_to(PROJECT).as_posix()) == []


def test_torch_load_is_called_once() -> None:
    every = [name for path in FILES for name, _ in calls(tree_of(path))]
    assert every.count("torch.load") == 1


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from six.moves import cPickle",
        "import torch; torch.load('x')",
        "import torch; torch.load('x', weights_only=True)",
        "import numpy as np; np.load('x')",
        "eval('1')",
        "import os; os.system('true')",
        "import subprocess; subprocess.run('true', shell=True)",
        "import yaml; yaml.load('x')",
        "import yaml; yaml.unsafe_load('x')",
        "import yaml; yaml.load_all('x')",
        "weights.get_state_dict(check_hash=True)",
        "models.resnet50(weights='DEFAULT')",
        "tar.extractall()",
        "Image.open(path)",
    ],
)
def test_the_watch_is_awake(code: str) -> None:
    assert faults(ast.parse(code), "ssul/elsewhere.py")
