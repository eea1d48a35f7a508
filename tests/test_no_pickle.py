"""What no module does, by its syntax tree: see SECURITY.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ROOMS = ("ssul", "stages", "benchmarks", "hydra_plugins")
FILES = [path for room in ROOMS for path in sorted((PROJECT / room).rglob("*.py"))]
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "imp"}
RUNNERS = {"eval", "exec", "compile", "__import__", "torch.hub.load", "runpy.run_path", "runpy.run_module"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SHELLS |= {"asyncio.create_subprocess_shell"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> dict[str, str]:
    """What every imported name stands for, wherever in the module it is imported."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                found |= {alias.asname: alias.name} if alias.asname else {first: first, alias.name: alias.name}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str | None, str]]]:
    """The full name of every function that is called, whatever it is called here, and its keyword arguments."""
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            yield names.get(first, first) + dot + rest, {word.arg: ast.unparse(word.value) for word in node.keywords}


def faults(tree: ast.Module, name: str) -> list[str]:
    """What a module does that none may."""
    modules = set(imported(tree).values())
    found = [f"imports {module}" for module in modules if set(module.split(".")) & UNPICKLERS]
    for function, how in calls(tree):
        last = function.rpartition(".")[2]
        of = function.partition(".")[0]
        wrong = {
            function in RUNNERS or function.removeprefix("builtins.") in RUNNERS: "runs what it is given",
            function in SHELLS or how.get("shell", "False") != "False": "runs a shell",
            "pickle" in last: "unpickles",
            of == "torch" and last == "load" and function != "torch.load": "unpickles",
            function == "torch.load" and name != "ssul/model/foreign.py": "is for ssul/model/foreign.py alone",
            function == "torch.load" and how.get("weights_only") != "True": "needs weights_only=True",
            of in ("np", "numpy") and last == "load" and how.get("allow_pickle") != "False": "needs allow_pickle=False",
            of == "yaml" and last.endswith(("load", "load_all")) and last != "safe_load": "must be yaml.safe_load",
            last in ("load_state_dict_from_url", "get_state_dict", "download_url_to_file")
            and (how.get("check_hash") != "True" or how.get("weights_only") != "True"): "needs a hash and weights_only",
            last in MODELS and how.get("weights", "None") != "None": "brings weights past their check",
            last in ("extractall", "unpack_archive"): "believes an archive's paths",
            function in ("PIL.Image.open", "Image.open") and "formats" not in how: "opens any format, EPS too",
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
        "from torch import load; load('x', weights_only=False)",
        "import torch as t; t.load('x', weights_only=False)",
        "import torch; torch.serialization.load('x')",
        "from torch.jit import load; load('x')",
        "import torch; torch.package.PackageImporter('x').load_pickle('a', 'b')",
        "from numpy import load; load('x', allow_pickle=True)",
        "from yaml import load, Loader; load('x', Loader=Loader)",
        "from PIL.Image import open; open('x')",
        "import PIL.Image; PIL.Image.open('x')",
        "import pandas as pd; pd.read_pickle('x')",
        "import subprocess; subprocess.getoutput('x')",
        "from os import system; system('x')",
        "import builtins; builtins.eval('1')",
        "import subprocess; subprocess.run(command, shell=flag)",
    ],
)
def test_the_watch_is_awake(code: str) -> None:
    assert faults(ast.parse(code), "ssul/elsewhere.py")
