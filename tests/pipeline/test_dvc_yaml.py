"""dvc.yaml is right: for each stage the folders that it imports from, the parameters and the data that it reads.

A list that lacks one gives stale results silently; one that has too many trains for nothing.
"""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from ssul.config.base import StrictModel
from ssul.config.load import load_params, parse_params
from ssul.config.method import registered_methods
from ssul.config.schema import Params
from ssul.errors import UserError
from tests.pipeline.clone import Clone, succeeded
from tests.project import PROJECT

# the script that each stage of dvc.yaml runs
SCRIPTS = {
    "prepare": "prepare",
    "splits": "splits",
    "train_base": "train_base",
    "evaluate_base": "evaluate",
    "select_memory": "select_memory",
    "train_step": "train_step",
    "evaluate_step": "evaluate",
    "report": "report",
}
ARGUMENTS = {
    "evaluate_base": ("0",),
    "select_memory": ("2",),
    "train_step": ("2",),
    "evaluate_step": ("2",),
    "report": ("2",),
}

# the place of the images is not their content; dvc.yaml explains it
WHERE_NOT_WHAT = {"data.root", "recipe.base.checkpoint"}
DUMPED = {"method.name"}  # pydantic looks at it when the journal of a training writes down all parameters


# what a stage imports only where it needs it
LATE = {
    "select_memory": ("ssul.memory.step", "ssul.methods.remember", "ssul.methods.star.remember"),
    "train_step": tuple(f"ssul.methods.{name}.increment" for name in registered_methods()),
}


# what a stage lists and reads only where it must: where something is missing or wrong; one value of the method, any of
# which changes the checkpoints that the stage looks at; what only a method that keeps something looks at; what the
# previous checkpoint carries already
UNREAD = {
    "prepare": ("data.download", "data.mirror", "data.on_error"),
    "select_memory": ("method.", "setting", "recipe.crop", "recipe.augmentation", "recipe.scale"),
    "train_step": ("method.unknown", "method.positive_weight"),
}


def stages() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in content.items()}


def listed_code(stage: dict[str, Any]) -> list[str]:
    """The folders and files of code that a stage lists, for each method where it lists the method's."""
    return [dependency for dependency in stage["deps"] if not dependency.startswith("data/")]


def carries(module: str) -> bool:
    """Whether a module only carries results: `dvc.yaml` says which do, import-linter that they compute nothing."""
    rooms = ("ssul/config/", "ssul/io/", "ssul/pipeline/", "ssul/tracking/")
    own_parameters = module.startswith("ssul/methods/") and module.endswith("/parameters.py")
    return module.startswith(rooms) or own_parameters or module in ("ssul/environment.py", "ssul/errors.py")


# imports each list of modules in a child process of its own; the parent has imported what takes long
IMPORT_APART = """
import importlib, json, os, sys
import lightning_fabric, torchvision

for names in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        for name in names:
            importlib.import_module(name)
        own = [name for name in sys.modules if name.split(".")[0] in ("ssul", "stages")]
        print(json.dumps({name: sys.modules[name].__file__ for name in own}), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{names} cannot be imported")
"""


def import_apart(lists: list[list[str]]) -> list[dict[str, str]]:
    """The first-party modules, and their files, that the import of each list of modules imports."""
    words = [sys.executable, "-c", IMPORT_APART, json.dumps(lists)]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """The first-party files that each stage's process imports, package markers left out."""
    scripts = sorted(set(SCRIPTS.values()))
    found = import_apart([[f"stages.{script}", *LATE.get(script, ())] for script in scripts])
    files = [{Path(file).relative_to(PROJECT) for file in one.values()} for one in found]
    return {
        script: {str(file) for file in some if file.name != "__init__.py"}
        for script, some in zip(scripts, files, strict=True)
    }


def test_every_stage_of_the_pipeline_is_known_here() -> None:
    assert set(stages()) == set(SCRIPTS)
    for name, stage in stages().items():
        assert stage["cmd"].split()[:3] == ["python", "-m", f"stages.{SCRIPTS[name]}"]


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "report"])
def test_a_stage_lists_the_folders_that_it_imports_from_and_no_others(imports: dict[str, set[str]], name: str) -> None:
    listed = [entry.replace("/${method.name}", "") for entry in listed_code(stages()[name])]
    imported = {module for module in imports[SCRIPTS[name]] if not carries(module)}
    inside = {entry: {one for one in imported if one == entry or one.startswith(f"{entry}/")} for entry in listed}
    assert imported - set().union(*inside.values()) == set()
    assert {entry for entry, modules in inside.items() if not modules} == set()


def test_a_method_imports_no_other_method() -> None:
    methods = sorted(path.name for path in (PROJECT / "ssul" / "methods").glob("[a-z]*") if path.is_dir())
    found = import_apart([[f"ssul.methods.{method}.increment"] for method in methods])
    for method, modules in zip(methods, found, strict=True):
        own = f"ssul.methods.{method}"
        below = [name for name in modules if name.startswith("ssul.methods.")]
        others = [name for name in below if name != own and not name.startswith(f"{own}.")]
        imported = {name for name in others if not name.endswith(".parameters")}  # those of all methods are read
        packages = {name.rpartition(".")[0] for name in others if name.endswith(".parameters")}
        assert imported == packages, method


def test_the_report_lists_all_code() -> None:
    assert listed_code(stages()["report"]) == ["ssul", "stages"]


@pytest.mark.parametrize(
    "module",
    [
        "stages.prepare",
        "stages.splits",
        "stages.select_memory",
        "stages.report",
        "ssul.cli.app",
        "ssul.tracking.follow",
    ],
)
def test_torch_is_not_imported_where_nothing_computes(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


def test_unlisted_package_markers_hold_nothing_but_a_docstring() -> None:
    """The one of the stages lets the collector of garbage rest, which changes no result."""
    for folder in ("ssul", "stages"):
        for path in (PROJECT / folder).glob("**/*/__init__.py"):  # that of ssul itself is tested in tests/test_api.py
            body = ast.parse(path.read_text()).body
            if path.parent.name == "stages":
                imported = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
                assert imported == ["import gc", "import sys"]
                continue
            assert len(body) == 1, path
            assert isinstance(body[0], ast.Expr), path


def leaves(section: BaseModel, prefix: str = "") -> Iterator[str]:
    for name in type(section).model_fields:
        value = section.__dict__[name]
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def paths_of(section: BaseModel, prefix: str = "") -> Iterator[tuple[int, str]]:
    yield id(section), prefix
    for name in type(section).model_fields:
        value = section.__dict__[name]
        if isinstance(value, BaseModel):
            yield from paths_of(value, f"{prefix}{name}.")


class Recorder:
    """Notes which parameters are read from a Params, by dotted name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: set[str] = set()
        self.all: set[str] = set()
        prefixes: dict[int, str] = {}
        get = StrictModel.__getattribute__

        def parsing(content: Any) -> Params:
            settings = parse_params(content)
            self.all = set(leaves(settings))
            prefixes.update(paths_of(settings))
            self.kept = settings  # alive, so that ids stay unique
            return settings

        def getting(section: StrictModel, name: str) -> Any:
            value = get(section, name)
            if name == "model_dump" and id(section) in prefixes:
                self.read |= {leaf for leaf in self.all if leaf.startswith(prefixes[id(section)])}
            elif name in type(section).model_fields and id(section) in prefixes and not isinstance(value, BaseModel):
                self.read.add(prefixes[id(section)] + name)
            return value

        monkeypatch.setattr("ssul.pipeline.provenance.parse_params", parsing)
        monkeypatch.setattr(StrictModel, "__getattribute__", getting)


@pytest.fixture(scope="module")
def finished(clone: Clone, untracked: None) -> Clone:
    """A clone after an experiment that rehearses."""
    succeeded(clone.experiment("memory.capacity=4"))
    return clone


# runs a stage in a child process for each; the parent has only imported, so no child sees what another one has read
RECORD_READS = """
import importlib, json, os, sys
from pathlib import Path

reads, data = [], os.path.join(os.getcwd(), "data", "")

def note(path):
    place = os.path.abspath(os.fsdecode(path))
    own = any(part.startswith(".") and part.endswith(".tmp") for part in Path(place).parts)  # what it is writing
    if place.startswith(data) and not own and not os.path.isdir(place):
        reads.append(os.path.relpath(place))

def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path, mode, flags = arguments
        if flags & os.O_ACCMODE != os.O_WRONLY:
            note(path)

sys.addaudithook(hook)
stages = json.loads(sys.argv[1])
mains = {name: importlib.import_module(f"stages.{script}").main for name, (script, _) in stages.items()}
for name, (_, words) in stages.items():
    child = os.fork()
    if not child:
        reads.clear()
        mains[name](*words)
        Path(f"{name}.reads").write_text(json.dumps(sorted(set(reads))))
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} failed")
"""


@pytest.fixture(scope="module")
def reads(finished: Clone) -> dict[str, list[str]]:
    """The files below data/ that each stage opens to read, in a finished experiment with an empty data/cache."""
    shutil.rmtree(finished.root / "data" / "cache")
    given = {name: (script, ARGUMENTS.get(name, ())) for name, script in SCRIPTS.items()}
    succeeded(finished.command(sys.executable, "-c", RECORD_READS, json.dumps(given)))
    return {name: json.loads((finished.root / f"{name}.reads").read_text()) for name in SCRIPTS}


def listed_data(name: str, kind: str = "deps") -> list[str]:
    """The data that a stage of step 2, the last one, lists: what it reads (`deps`) or what it writes (`outs`)."""
    places = [place for place in stages()[name][kind] if isinstance(place, str) and place.startswith("data/")]
    for template, step in (("${key}", "2"), ("${item.prev}", "1"), ("${scenario.last}", "2")):
        places = [place.replace(template, step) for place in places]
    return places


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SCRIPTS))
def test_a_stage_reads_no_data_but_those_that_it_lists(reads: dict[str, list[str]], name: str) -> None:
    """The index stands for the images below the data root; data/cache and data/made_with never change a result.

    What a stage has written it may read, because its time is noted under the digest of that.
    """
    images = [] if name == "splits" else ["data/drawn"]
    inside = {
        place: [path for path in reads[name] if path == place or path.startswith(f"{place}/")]
        for place in [*listed_data(name), *listed_data(name, "outs"), "data/cache", "data/made_with", *images]
    }
    assert set(reads[name]) - {path for found in inside.values() for path in found} == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SCRIPTS))
def test_a_stage_lists_exactly_the_parameters_that_it_reads(
    finished: Clone, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    recorder = Recorder(monkeypatch)
    monkeypatch.chdir(finished.root)
    monkeypatch.delenv("SSUL_TRACKING", raising=False)  # the report reads most parameters in order to log them
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{finished.root / 'mlruns.db'}")
    importlib.import_module(f"stages.{SCRIPTS[name]}").main(*ARGUMENTS.get(name, ()))
    listed = stages()[name]["params"]
    expected = {leaf for leaf in recorder.all for entry in listed if leaf == entry or leaf.startswith(f"{entry}.")}
    unread = {leaf for leaf in expected if leaf.startswith(UNREAD.get(name, ("-",)))}
    assert recorder.read - ((WHERE_NOT_WHAT | DUMPED) - expected) - unread == expected - unread


def others(value: Any, kind: Any) -> list[Any]:
    """What a parameter might be instead; not all of it need be allowed."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value / 2, value * 2]
    if isinstance(value, list | tuple):
        return [[one / 2 for one in value]]
    return [choice for choice in get_args(kind) if choice != value]


def changed(settings: Params, name: str) -> Params | None:
    """The parameters with another value of one; None where no other is allowed beside the rest."""
    *path, last = name.split(".")
    section: Any = settings
    for part in path:
        section = getattr(section, part)
    if isinstance(section, BaseModel):
        for value in others(getattr(section, last), type(section).model_fields[last].annotation):
            content = settings.model_dump(mode="json")
            place = content
            for part in path:
                place = place[part]
            place[last] = value
            with suppress(UserError):
                return parse_params(content)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train_base", "train_step"])
def test_whatever_a_training_lists_as_a_parameter_makes_it_another_training(
    finished: Clone, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would go on with the state of a training with other parameters."""
    import importlib

    stage = importlib.import_module(f"stages.{name}")
    monkeypatch.chdir(finished.root)
    found: list[str] = []
    monkeypatch.setattr(stage, "train", lambda job, provenance: found.append(job.fingerprint(provenance.digests)))

    def fingerprint(settings: Params) -> str | None:
        """None where the stage refuses them."""
        monkeypatch.setattr("ssul.pipeline.provenance.parse_params", lambda content: settings)
        try:
            stage.main(*ARGUMENTS.get(name, ()))
        except UserError:
            return None
        return found.pop()

    settings = load_params(Path("params.yaml"))
    own = fingerprint(settings)
    assert own is not None
    assert fingerprint(settings) == own
    entries = stages()[name]["params"]
    leaves_listed = [
        leaf for leaf in leaves(settings) for entry in entries if leaf == entry or leaf.startswith(f"{entry}.")
    ]
    tried = {leaf: changed(settings, leaf) for leaf in leaves_listed}
    made = {leaf: fingerprint(other) for leaf, other in tried.items() if other is not None}
    assert [leaf for leaf, other in made.items() if other == own] == []
    assert len([leaf for leaf, other in made.items() if other is not None]) >= 15, made
