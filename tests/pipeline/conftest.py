"""Clones for the pipeline's tests: one in which nothing has run, and one after its first experiment.

The first experiment runs once per test session. Each module gets a copy of its clone.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from filelock import FileLock

from ssul.environment import TRACKING
from tests.pipeline.clone import Clone, Outcome, digest, make_clone, succeeded


@pytest.fixture(scope="module")
def untracked() -> Iterator[None]:
    """Spares the reports of a module the time that MLflow takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TRACKING, "off")
        yield


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which nothing has run yet."""
    return make_clone(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Outcome]:
    """A clone after its first experiment, to be copied, and the outcome of that experiment.

    The workers of pytest-xdist share it: the first one makes it, the others wait for a file lock. It is in MLflow, even
    if a module asks for it first that has no need of that.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    clone, outcome = Clone(shared / "template"), shared / "template.json"
    with FileLock(shared / "template.lock"):
        if not outcome.exists():
            shutil.rmtree(clone.root, ignore_errors=True)  # what a worker left that could not finish it
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv(TRACKING, raising=False)
                found = succeeded(make_clone(clone.root).experiment())
            outcome.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return clone, Outcome(**json.loads(outcome.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def clone(template: tuple[Clone, Outcome], tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone after its first experiment."""
    return template[0].copy(tmp_path_factory.mktemp("clone") / "clone")


@pytest.fixture(scope="module")
def first(template: tuple[Clone, Outcome]) -> Outcome:
    """The first experiment of a fresh clone."""
    return template[1]


@pytest.fixture(scope="module")
def base(template: tuple[Clone, Outcome]) -> dict[str, str]:
    """The hashes of the base checkpoint after the first experiment."""
    return digest(template[0].root / "data" / "checkpoints" / "step_0")
