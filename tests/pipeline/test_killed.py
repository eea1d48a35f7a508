"""Whoever is killed or interrupted loses next to nothing: the same command goes on, and ends as if nothing had been."""

import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import Clone
from tests.pipeline.torture import ENVIRONMENT, Run, copy_of, digests, faults, little_world, plan, torture, undisturbed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which nothing has run."""
    return little_world(tmp_path_factory.mktemp("torture") / "pristine")


@pytest.fixture(scope="module")
def alone(pristine: Clone) -> tuple[Clone, float, dict[str, str]]:
    """A run that was left alone, its seconds, and the digests of what it left."""
    clone, seconds = undisturbed(pristine, pristine.root.with_name("alone"))
    return clone, seconds, digests(clone.root)


Alone = tuple[Clone, float, dict[str, str]]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("stage", "words"), [("train_base", ()), ("train_step", ("1",))])
def test_a_training_that_is_asked_to_end_saves_itself_and_goes_on(
    alone: Alone, how: signal.Signals, stage: str, words: tuple[str, ...]
) -> None:
    clone, _, whole = alone
    shutil.rmtree(clone.root / "data" / "cache", ignore_errors=True)
    shutil.rmtree(clone.root / "data" / "checkpoints" / f"step_{len(words)}")
    process = subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}", *words],
        cwd=clone.root,
        env=clone.environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    states = clone.root / "data" / "cache" / "trainings"
    while not list(states.glob("*.safetensors")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(how)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + how
    ended = re.search(rf"step \d: {how.name} after iteration (\d+) of \d+: the same command goes on", told)
    assert ended is not None, told
    assert not (clone.root / "data" / "checkpoints" / f"step_{len(words)}").exists()
    again = clone.stage(stage, *words)
    assert again.code == 0, again.text
    assert f"goes on after iteration {ended[1]} of" in again.text  # not one is repeated
    assert digests(clone.root) == whole


def test_of_two_commands_in_one_clone_one_is_told_of_the_other_and_the_results_are_right(
    pristine: Clone, alone: Alone
) -> None:
    clone = copy_of(pristine, pristine.root.with_name("two"))
    first, second = (Run(clone, 0.0, random.Random(0)) for _ in range(2))
    second.log = second.log.with_suffix(".second")
    first.start()
    second.start()
    assert first.command is not None
    assert second.command is not None
    codes = sorted([first.command.wait(timeout=600), second.command.wait(timeout=600)])
    told = first.told() + second.told()
    assert codes[0] == 0, told
    assert codes[1] == 0 or "lock" in told
    assert digests(clone.root) == alone[2]


def test_a_store_that_another_process_holds_costs_no_result_and_is_sent_later(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, _, whole = alone
    monkeypatch.setenv("SSUL_TRACKING", "on")
    assert clone.stage("report", "1").code == 0  # makes the store
    database = sqlite3.connect(clone.root / "mlflow.db")
    database.execute("BEGIN EXCLUSIVE")
    outcome = clone.stage("report", "1")
    database.rollback()
    database.close()
    assert outcome.code == 0, outcome.text
    assert "ssul send" in outcome.text
    assert digests(clone.root) == whole
    assert clone.command(str(Path(sys.executable).with_name("ssul")), "send").code == 0
    assert not list((clone.root / "data" / "unsent").glob("*/run.json"))


def test_whoever_is_killed_whenever_the_end_is_that_of_a_run_left_alone(pristine: Clone, alone: Alone) -> None:
    _, seconds, whole = alone
    pick = random.Random(0)
    kills = torture(plan(3, pick), pristine, whole, seconds, pick)
    assert {kill.moment for kill in kills} >= {"writing", "trained"}
    assert any(kill.who == "worker" for kill in kills)
    assert faults(kills) == []
