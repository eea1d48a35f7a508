"""Whoever is killed or interrupted loses next to nothing: the same command goes on, and ends as if nothing had been."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import yaml

from ssul.training.resume import StateFile
from tests.pipeline.conftest import Clone
from tests.pipeline.torture import ENVIRONMENT, Run, copy_of, digests, faults, little_world, plan, torture, undisturbed

pytestmark = pytest.mark.slow
Alone = tuple[Clone, float, dict[str, str]]
"""A run that was left alone, its seconds, and the digests of what it left."""


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
def alone(pristine: Clone) -> Alone:
    clone, seconds = undisturbed(pristine, pristine.root.with_name("alone"))
    return clone, seconds, digests(clone.root)


class Training:
    """A stage of the finished run that trains again, until something happens to it."""

    def __init__(self, alone: Alone, stage: str, *words: str, **variables: str) -> None:
        self.clone, _, self.whole = alone
        self.words = (stage, *words)
        self.checkpoint = self.clone.root / "data" / "checkpoints" / f"step_{len(words)}"
        shutil.rmtree(self.clone.root / "data" / "cache", ignore_errors=True)
        shutil.rmtree(self.checkpoint)
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"stages.{stage}", *words],
            cwd=self.clone.root,
            env=self.clone.environment | variables,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    @property
    def states(self) -> Path:
        return self.clone.root / "data" / "cache" / "trainings"

    def has_saved(self, *, judged: bool = False) -> "Training":
        """Waits for a saved state; with best weights on the way if that is asked for."""
        while not any(not judged or self._score(path) > 0 for path in self.states.glob("*.safetensors")):
            assert self.process.poll() is None
            time.sleep(0.02)
        return self

    def _score(self, path: Path) -> float:
        saved = StateFile(path.parent, path.stem).read()
        return saved.notes["score"] if saved is not None else -1.0

    def end(self) -> str:
        """What it tells at its end, without a checkpoint."""
        told = self.process.communicate(timeout=120)[1]
        assert not self.checkpoint.exists()
        return told

    def goes_on(self) -> int:
        """After which iteration the same command goes on, with the results of the run that was left alone."""
        again = self.clone.stage(*self.words)
        assert again.code == 0, again.text
        found = re.search(r"goes on after iteration (\d+) of", again.text)
        assert found is not None, again.text
        assert digests(self.clone.root) == self.whole
        return int(found[1])

    def retrain(self) -> None:
        """Learns anew, so that all is as it was for the tests to come."""
        shutil.rmtree(self.clone.root / "data" / "cache")
        assert self.clone.stage(*self.words).code == 0
        assert digests(self.clone.root) == self.whole


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [("train_base",), ("train_step", "1")], ids="-".join)
def test_a_training_that_is_asked_to_end_saves_itself_and_goes_on(
    alone: Alone, how: signal.Signals, words: tuple[str, ...]
) -> None:
    training = Training(alone, *words).has_saved()
    training.process.send_signal(how)
    told = training.end()
    assert training.process.returncode == 128 + how
    ended = re.search(rf"step \d: {how.name} after iteration (\d+) of \d+: the same command goes on", told)
    assert ended is not None, told
    assert training.goes_on() == int(ended[1])  # not one is repeated


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_loaders_that_are_asked_to_end_too_do_not_hinder_it(alone: Alone, how: signal.Signals) -> None:
    """Ctrl-C in a terminal and SLURM's scancel reach every process."""
    training = Training(alone, "train_base", SSUL_WORKERS="2").has_saved()
    os.killpg(training.process.pid, how)
    told = training.end()
    assert training.process.returncode == 128 + how, told
    assert "Traceback" not in told
    assert training.goes_on() > 0


def appears(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    """Waits for a file, as long as a process lives."""
    end = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_orphan_in_the_same_folder_hands_over_what_it_has_learned(alone: Alone) -> None:
    orphan = Training(alone, "train_base", SSUL_SAVE_MINUTES="60")
    appears(orphan.states, "*.holder", orphan.process)
    orphan.process.send_signal(signal.SIGSTOP)  # so that it cannot end before the other one has begun
    with ThreadPoolExecutor() as pool:
        started = pool.submit(orphan.clone.stage, "train_base")
        appears(orphan.states, "*.wanted", orphan.process)
        orphan.process.send_signal(signal.SIGCONT)
        again = started.result()
    assert orphan.process.wait(timeout=120) == 0
    assert again.code == 0
    assert f"the same training runs already (process {orphan.process.pid} on " in again.text
    assert re.search(r"goes on after iteration (\d+) of \1 \(all is learned", again.text)
    assert digests(orphan.clone.root) == orphan.whole


def test_what_was_edited_meanwhile_is_not_recorded_as_what_it_was_trained_with(alone: Alone) -> None:
    """DVC looks at parameters only when a stage has ended."""
    training = Training(alone, "train_base").has_saved()
    params = training.clone.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("momentum: 0.9", "momentum: 0.8"))
    told = training.end()
    params.write_text(before)
    assert training.process.returncode == 1
    assert "error: step 0: recipe.base.momentum changed while this trained" in told
    assert training.goes_on() == 180  # nothing of it is lost


def test_the_best_weights_on_the_way_go_on_too(alone: Alone) -> None:
    clone = copy_of(alone[0], alone[0].root.with_name("judged"))
    params = yaml.safe_load((clone.root / "params.yaml").read_text())
    params["data"]["holdout"], params["method"]["selection"] = 0.3, "holdout"
    (clone.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for stage in ("splits", "train_base"):
        assert clone.stage(stage).code == 0
    training = Training((clone, 0.0, digests(clone.root)), "train_base")
    training.has_saved(judged=True).process.send_signal(signal.SIGTERM)
    training.end()
    assert training.goes_on() > 0


def test_two_processes_that_are_asked_to_end_save_themselves_once_and_go_on(alone: Alone) -> None:
    """As SLURM asks: every process at once."""
    training = Training(alone, "train_step", "1", SSUL_DEVICES="2").has_saved()
    os.killpg(training.process.pid, signal.SIGTERM)
    told = training.end()
    assert training.process.returncode == 128 + signal.SIGTERM, told
    assert len(re.findall(r"SIGTERM after iteration \d+ of \d+: the same command goes on", told)) == 1
    assert "has died" not in told
    assert "Traceback" not in told
    training.retrain()


def test_a_loader_that_the_kernel_kills_is_reported_and_the_training_goes_on(alone: Alone) -> None:
    training = Training(alone, "train_base", SSUL_WORKERS="1").has_saved()
    for loader in psutil.Process(training.process.pid).children():
        loader.kill()
    told = training.end()
    assert training.process.returncode == 1
    assert "error: a process that loads pictures has died" in told
    assert "Traceback" not in told
    assert training.goes_on() > 0


@pytest.mark.parametrize("workers", ["0", "1"])
def test_pictures_that_vanish_in_mid_training_are_named_and_it_goes_on_when_they_are_back(
    alone: Alone, workers: str
) -> None:
    training = Training(alone, "train_base", SSUL_CACHE_MIB="0", SSUL_WORKERS=workers).has_saved()
    drawn = training.clone.root / "data" / "drawn"
    drawn.rename(drawn.with_name("elsewhere"))
    told = training.end()
    drawn.with_name("elsewhere").rename(drawn)
    assert training.process.returncode == 1
    assert re.search(r"error: \w+ below data/drawn cannot be read .*: mend or bring back its files", told)
    assert "Traceback" not in told
    assert training.goes_on() > 0


def test_when_one_of_two_processes_is_killed_the_other_ends_and_one_process_goes_on(alone: Alone) -> None:
    training = Training(alone, "train_step", "1", SSUL_DEVICES="2").has_saved()
    (second,) = (
        child
        for child in psutil.Process(training.process.pid).children(recursive=True)
        if child.environ().get("LOCAL_RANK") == "1"
    )
    second.kill()
    told = training.end()
    assert training.process.returncode != 0
    assert "error: a process of this training" in told
    assert "Traceback" not in told
    again = training.clone.stage(*training.words)
    assert again.code == 0, again.text
    assert re.search(
        r"goes on after iteration \d+ of \d+ \(begun on 2 x CPU, 1 thread: rounding may differ\)", again.text
    )
    training.retrain()


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
    outcomes = [(run.command.wait(timeout=600), run.told()) for run in (first, second) if run.command is not None]
    failed = [told for code, told in outcomes if code]
    assert len(failed) < 2, outcomes
    assert all(re.search(r"is busy, it is being blocked|Unable to acquire lock", told) for told in failed), failed
    assert digests(clone.root) == alone[2]


def test_a_store_that_another_process_holds_costs_no_result_and_is_logged_later(
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
    assert "dvc repro --force --single-item report" in outcome.text
    assert digests(clone.root) == whole
    outcome = clone.stage("report", "1")
    assert outcome.code == 0, outcome.text
    assert "warning" not in outcome.text


def test_whoever_is_killed_whenever_the_end_is_that_of_a_run_left_alone(pristine: Clone, alone: Alone) -> None:
    _, seconds, whole = alone
    pick = random.Random(0)
    kills = torture(plan(3, pick), pristine, whole, seconds, pick)
    assert {kill.moment for kill in kills} >= {"writing", "trained"}
    assert any(kill.who == "worker" for kill in kills)
    assert faults(kills) == []
