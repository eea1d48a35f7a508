"""Which stages an edit of the code makes dvc run again, by `dvc status` after a finished experiment.

`dvc status` names the stages whose own dependencies changed; whatever follows them runs only if their outputs change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.pipeline.clone import Clone, succeeded

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]

STEPS = {"train_step@1", "train_step@2"}
TRAININGS = {"train_base", *STEPS}
EVALUATIONS = {"evaluate_base", "evaluate_step@1", "evaluate_step@2"}
MEMORIES = {"select_memory@1", "select_memory@2"}
"""They run a method's `remember`, if it has one; without one they take a second and change nothing."""
PLOPS = {"train_step@1", "select_memory@1"}


@pytest.fixture(scope="module")
def plop(clone: Clone) -> Clone:
    """A clone after an experiment with PLOP, whose only increment has all other classes."""
    other = clone.copy(clone.root.with_name("plop"))
    succeeded(other.experiment("method=plop", "scenario.increment=4"))
    return other


@contextmanager
def edited(path: Path, old: str = "", new: str = "\n# edited\n") -> Iterator[None]:
    """Replaces a text of a file once, by default adds a comment at its end; takes it back afterwards."""
    before = path.read_bytes()
    text = before.decode("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(before)


def changed(clone: Clone) -> set[str]:
    """The stages of which dvc finds a dependency or an output changed, without the place of their dvc.yaml."""
    with Repo(str(clone.root)) as repo:
        return {name.rpartition(":")[2] for name in repo.status()}


def test_without_an_edit_nothing_runs(clone: Clone, plop: Clone) -> None:
    assert changed(clone) == changed(plop) == set()


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("ssul/report/curves.py", set()),
        ("ssul/tracking/runs.py", set()),
        ("ssul/tracking/live.py", set()),
        ("ssul/pipeline/failures.py", set()),
        ("ssul/pipeline/progress.py", set()),
        ("ssul/config/paths.py", set()),
        ("ssul/config/schema.py", set()),
        ("ssul/errors.py", set()),
        ("ssul/methods/plop/increment.py", set()),
        ("ssul/methods/ssul/increment.py", STEPS | MEMORIES),
        ("ssul/training/losses.py", TRAININGS | MEMORIES),
        ("ssul/evaluation/scores.py", EVALUATIONS),
        ("ssul/memory/selection.py", {"splits"} | MEMORIES | STEPS),
    ],
)
def test_an_edit_runs_the_stages_that_it_can_change_and_the_report(clone: Clone, module: str, stages: set[str]) -> None:
    """The report records a fingerprint of all code."""
    with edited(clone.root / module):
        assert changed(clone) == stages | {"report"}


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("ssul/methods/plop/increment.py", PLOPS),
        ("ssul/methods/ssul/increment.py", set()),
        ("ssul/training/losses.py", {"train_base"} | PLOPS),
    ],
)
def test_an_edit_of_a_method_runs_the_increments_of_that_method_alone(
    plop: Clone, module: str, stages: set[str]
) -> None:
    with edited(plop.root / module):
        assert changed(plop) == stages | {"report"}


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("pseudo_threshold: 0.7", "pseudo_threshold: 0.5", STEPS | MEMORIES),
        ("lr: 0.2", "lr: 0.02", STEPS),  # of increments
    ],
)
def test_what_acts_on_increments_alone_does_not_run_the_base(
    clone: Clone, old: str, new: str, stages: set[str]
) -> None:
    with edited(clone.root / "params.yaml", old, new):
        assert changed(clone) == stages | {"report"}


def test_a_new_parameter_of_a_method_runs_its_increments_and_not_its_base(plop: Clone) -> None:
    with edited(plop.root / "params.yaml", "  plop:\n", "  plop:\n    one_more: 1\n"):
        assert changed(plop) == PLOPS | {"report"}
