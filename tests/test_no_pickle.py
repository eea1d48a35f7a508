"""What no module does, according to its syntax tree: see SECURITY.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FILES = [path for room in ("ssul", "stages", "benchmarks", "hydra_plugins") for path in (PROJECT / room).rglob("*.py")]
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "imp"}
RUNNERS = {"eval", "exec", "compile", "__import__", "importlib.import_module", "torch.hub.load"}
RUNNERS |= {"runpy.run_path", "runpy.run_module"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SHELLS |= {"asyncio.create_subprocess_shell"}
DOWNLOADS = {"load_state_dict_from_url", "get_state_dict", "download_url_to_file"}
OPENS_IMAGES = {"PIL.Image.open", "Image.open"}
MODELS = {"resnet50", "resnet101", "mobilenet_v2"}


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> dict[str, str]:
    """The full name of every imported name, wherever in the module it is imported."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                found |= {alias.asname: alias.name} if alias.asname else {first: first, alias.name: alias.name}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def uses(tree: ast.AST) -> Iterator[tuple[str, dict[str | None, str]]]:
    """The full name of every function, class or attribute, and its keyword arguments if it is called."""
    names = imported(tree)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            first, dot, rest = ast.unparse(node).partition(".")
            keywords = called[id(node)].keywords if id(node) in called else []
            yield names.get(first, first) + dot + rest, {word.arg: ast.unparse(word.value) for word in keywords}


def wrong(name: str, given: dict[str | None, str], module: str) -> list[str]:
    """What is wrong with a use of a function."""
    last, package = name.rpartition(".")[2], name.partition(".")[0]
    reads_yaml = package == "yaml" and last.endswith(("load", "load_all"))
    other_loads = (package == "torch" and last == "load" and name != "torch.load") or last == "load_url"
    checked = given.get("check_hash") == given.get("weights_only") == "True"
    # the names are those of the project's own folders and modules
    own = name == "importlib.import_module" and module in ("ssul/config/method.py", "benchmarks/gpu/__main__.py")
    rules = {
        "runs its input": name.removeprefix("builtins.") in RUNNERS and not own,
        "runs a shell": name in SHELLS or given.get("shell", "False") != "False",
        "unpickles": "pickle" in last.lower() or other_loads,
        "is for ssul/model/torch_files.py alone": name == "torch.load" and module != "ssul/model/torch_files.py",
        "needs weights_only=True": name == "torch.load" and given.get("weights_only") != "True",
        "needs allow_pickle=False": name == "numpy.load" and given.get("allow_pickle") != "False",
        "must be yaml.safe_load": reads_yaml and last != "safe_load" and given.get("Loader") != "SafeLoader",
        "needs a hash and weights_only": last in DOWNLOADS and not checked,
        "brings weights without a check": last in MODELS and given.get("weights", "None") != "None",
        "trusts an archive's paths": last in ("extractall", "unpack_archive"),
        "opens any format, EPS too": name in OPENS_IMAGES and given.get("formats", "None") == "None",
    }
    return [f"{name} {words}" for words, is_so in rules.items() if is_so]


def faults(tree: ast.Module, module: str) -> list[str]:
    """What a module does that no module may do."""
    found = [f"imports {one}" for one in set(imported(tree).values()) if set(one.split(".")) & UNPICKLERS]
    return found + [fault for name, given in uses(tree) for fault in wrong(name, given, module)]


def test_no_module_unpickles_or_runs_what_it_reads() -> None:
    assert len(FILES) > 100
    found = {path: faults(parse(path), path.relative_to(PROJECT).as_posix()) for path in FILES}
    assert {path: some for path, some in found.items() if some} == {}
    assert sum(name == "torch.load" for path in FILES for name, _ in uses(parse(path))) == 1


REFUSED = """
import pickle
from six.moves import cPickle
import torch; torch.load('x', weights_only=True)
from torch import load; load('x', weights_only=False)
import torch; load = torch.load; load('x', weights_only=False)
import functools, torch; functools.partial(torch.load, weights_only=False)('x')
import torch; torch.package.PackageImporter('x').load_pickle('a', 'b')
import torch; torch.utils.model_zoo.load_url('x')
from torch.jit import load; load('x')
weights.get_state_dict(check_hash=True)
models.resnet50(weights='DEFAULT')
from numpy import load; load('x')
import pandas as pd; pd.read_pickle('x')
import yaml; yaml.load_all('x')
from yaml import load, Loader; load('x', Loader=Loader)
import builtins; builtins.eval('1')
import importlib; importlib.import_module('pickle').loads(b'')
from os import system; system('x')
import subprocess; subprocess.run(command, shell=flag)
tar.extractall()
Image.open(path)
from PIL.Image import open; open('x')
from PIL import Image; map(Image.open, paths)
"""


@pytest.mark.parametrize("code", REFUSED.strip().splitlines())
def test_the_rules_notice(code: str) -> None:
    assert faults(ast.parse(code), "ssul/elsewhere.py")
