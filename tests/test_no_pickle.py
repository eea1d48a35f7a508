"""What no module does, by its syntax tree: see SECURITY.md."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ROOMS = ("ssul", "stages", "benchmarks", "hydra_plugins")
FILES = [path for room in ROOMS for path in sorted((PROJECT / room).rglob("*.py"))]
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "imp"}
RUNNERS = {"eval", "exec", "compile", "__import__", "importlib.import_module", "torch.hub.load"}
RUNNERS |= {"runpy.run_path", "runpy.run_module"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SHELLS |= {"asyncio.create_subprocess_shell"}
DOWNLOADS = {"load_state_dict_from_url", "get_state_dict", "download_url_to_file"}
OPENS_PICTURES = {"PIL.Image.open", "Image.open"}
MODELS = {"resnet50", "resnet101", "mobilenet_v2"}


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


@dataclass(frozen=True)
class Use:
    """A function, by its full name, and how it is called.

    Attributes:
        name: whatever it is called in the module.
        how: keyword arguments; None where it is not called but passed on.
    """

    name: str
    how: Mapping[str | None, str] | None

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    def given(self, word: str, default: str = "None") -> str:
        """The expression that is given for an argument."""
        return (self.how or {}).get(word, default)


def uses(tree: ast.AST) -> Iterator[Use]:
    """Every function, class or attribute that is named."""
    names = imported(tree)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            first, dot, rest = ast.unparse(node).partition(".")
            call = called.get(id(node))
            how = {word.arg: ast.unparse(word.value) for word in call.keywords} if call is not None else None
            yield Use(names.get(first, first) + dot + rest, how)


def wrong(use: Use, module: str) -> list[str]:
    """What is wrong with a use."""
    name, last, package = use.name, use.last, use.package
    reads_yaml = package == "yaml" and last.endswith(("load", "load_all"))
    other_loads = (package == "torch" and last == "load" and name != "torch.load") or last == "load_url"
    checked = use.given("check_hash") == use.given("weights_only") == "True"
    # method names are checked by the schema, and the folder is ours
    by_method = name == "importlib.import_module" and module == "ssul/methods/build.py"
    rules = [
        ("runs what it is given", (name in RUNNERS or name.removeprefix("builtins.") in RUNNERS) and not by_method),
        ("runs a shell", name in SHELLS or use.given("shell", "False") != "False"),
        ("unpickles", "pickle" in last.lower() or other_loads),
        ("is for ssul/model/torch_files.py alone", name == "torch.load" and module != "ssul/model/torch_files.py"),
        ("needs weights_only=True", name == "torch.load" and use.given("weights_only") != "True"),
        ("needs allow_pickle=False", name == "numpy.load" and use.given("allow_pickle") != "False"),
        ("must be yaml.safe_load", reads_yaml and last != "safe_load"),
        ("needs a hash and weights_only", last in DOWNLOADS and not checked),
        ("brings weights past their check", last in MODELS and use.given("weights") != "None"),
        ("believes an archive's paths", last in ("extractall", "unpack_archive")),
        ("opens any format, EPS too", name in OPENS_PICTURES and use.given("formats") == "None"),
    ]
    return [words for words, is_so in rules if is_so]


def faults(tree: ast.Module, module: str) -> list[str]:
    """What a module does that none may."""
    found = [f"imports {one}" for one in set(imported(tree).values()) if set(one.split(".")) & UNPICKLERS]
    return found + [f"{use.name} {words}" for use in uses(tree) for words in wrong(use, module)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_no_module_unpickles_or_runs_what_it_reads(path: Path) -> None:
    assert faults(tree_of(path), path.relative_to(PROJECT).as_posix()) == []


def test_torch_load_is_named_once() -> None:
    every = [use.name for path in FILES for use in uses(tree_of(path))]
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
        "import torch; load = torch.load; load('x', weights_only=False)",
        "import functools, torch; functools.partial(torch.load, weights_only=False)('x')",
        "import torch; map(torch.load, paths)",
        "import importlib; importlib.import_module('pickle').loads(b'')",
        "import torch; torch.utils.model_zoo.load_url('x')",
        "from PIL import Image; Image.open(path, formats=None)",
        "from PIL import Image; map(Image.open, paths)",
    ],
)
def test_the_watch_is_awake(code: str) -> None:
    assert faults(ast.parse(code), "ssul/elsewhere.py")
