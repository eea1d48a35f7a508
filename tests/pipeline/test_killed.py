"""A training that is killed or interrupted loses next to nothing: the same command continues it to the same bits.

`tests.pipeline.torture` kills at random; here each way to end a training is tried once.
"""

import os
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
from tests.pipeline.clone import Clone, make_clone, succeeded
from tests.pipeline.torture import ENVIRONMENT, WORLD, digests
from tests.project import write_params

pytestmark = pytest.mark.slow
Finished = tuple[Clone, dict[str, str]]
"""A clone after an undisturbed run, and the digests of its results."""


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """An undisturbed run."""
    clone = make_clone(tmp_path_factory.mktemp("killed") / "alone", *WORLD)
    succeeded(clone.dvc("repro"))
    return clone, digests(clone.root)


@pytest.fixture(scope="module")
def inexact(alone: Finished) -> Finished:
    """A copy for trainings of two processes, which round differently."""
    return alone[0].copy(alone[0].root.with_name("inexact")), alone[1]


class Training:
    """A training stage of a finished run that runs again."""

    def __init__(self, finished: Finished, stage: str, *words: str, **variables: str) -> None:
        self.clone, self.whole = finished
        self.words = (stage, *words)
        self.checkpoint = self.clone.root / "data" / "checkpoints" / f"step_{len(words)}"
        shutil.rmtree(self.clone.root / "data" / "cache", ignore_errors=True)
        shutil.rmtree(self.checkpoint)
        self.variables = variables
        self.process = self.start()

    def start(self) -> "subprocess.Popen[str]":
        """Starts the stage, again if it has been killed."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"stages.{self.words[0]}", *self.words[1:]],
            cwd=self.clone.root,
            env=self.clone.environment | self.variables,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        return self.process

    @property
    def states(self) -> Path:
        return self.clone.root / "data" / "cache" / "trainings"

    def has_saved(self, *, scored: bool = False) -> "Training":
        """Waits for a saved state; with `scored`, for one that holds the best weights so far."""
        while not any(not scored or self._score(path) > 0 for path in self.states.glob("*.safetensors")):
            assert self.process.poll() is None
            time.sleep(0.02)
        return self

    def _score(self, path: Path) -> float:
        saved = StateFile(path.parent, path.stem).read()
        return saved.notes["score"] if saved is not None else -1.0

    def end(self) -> str:
        """Waits for its end, which must leave no checkpoint; its standard error."""
        message = self.process.communicate(timeout=120)[1]
        assert not self.checkpoint.exists()
        return message

    def goes_on(self) -> int:
        """The iteration after which the same command continues; its results must be those of the undisturbed run."""
        again = self.clone.stage(*self.words)
        assert again.code == 0, again.text
        found = re.search(r"goes on after iteration (\d+) of", again.text)
        assert found is not None, again.text
        assert digests(self.clone.root) == self.whole
        return int(found[1])


@pytest.mark.parametrize(
    ("how", "words", "workers"),
    [(signal.SIGINT, ("train_base",), "0"), (signal.SIGTERM, ("train_step", "1"), "2")],
    ids=["SIGINT-base", "SIGTERM-step-loaders"],
)
def test_a_training_that_is_asked_to_end_saves_itself_and_goes_on(
    alone: Finished, how: signal.Signals, words: tuple[str, ...], workers: str
) -> None:
    """Ctrl-C in a terminal and SLURM's scancel reach every process, the loaders too."""
    training = Training(alone, *words, SSUL_WORKERS=workers).has_saved()
    os.killpg(training.process.pid, how)
    message = training.end()
    assert training.process.returncode == 128 + how, message
    assert "Traceback" not in message
    ended = re.search(rf"step \d: {how.name} after iteration (\d+) of \d+: the same command goes on", message)
    assert ended is not None, message
    assert training.goes_on() == int(ended[1])  # no iteration is repeated


def test_a_training_that_is_killed_while_it_writes_its_state_goes_on_from_the_state_before(alone: Finished) -> None:
    training = Training(alone, "train_base", SSUL_SAVE_MINUTES="0").has_saved()
    process = psutil.Process(training.process.pid)
    while not half_written(training.states):
        process.resume()
        while not half_written(training.states):
            assert training.process.poll() is None
        process.suspend()  # the write may have ended before this: look again
        while process.status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)
    process.kill()
    training.end()
    assert half_written(training.states)
    (state,) = training.states.glob("*.safetensors")
    saved = StateFile(state.parent, state.stem).read()
    assert saved is not None
    assert training.goes_on() == saved.notes["iteration"] > 0


def half_written(states: Path) -> list[Path]:
    """The states that a process has begun to write."""
    return list(states.glob(".*.safetensors.*.tmp"))


def appears(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    """Waits for a file while a process lives."""
    end = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def shorter(alone: Finished, name: str, *overrides: str) -> Finished:
    """A finished run of fewer epochs under further overrides."""
    clone = alone[0].copy(alone[0].root.with_name(name))
    few = ("recipe.base.epochs=1", "recipe.increment.epochs=30", "recipe.increment.lr=0.01")
    write_params(clone.root / "params.yaml", *WORLD, *few, *overrides)
    for words in (("train_base",), ("select_memory", "1"), ("train_step", "1")):
        succeeded(clone.stage(*words))
    return clone, digests(clone.root)


@pytest.mark.parametrize("method", ["dkd", "star"])
def test_an_increment_with_an_objective_of_its_own_goes_on_to_the_same_bits_after_a_kill(
    alone: Finished, method: str
) -> None:
    """STAR's draws features around prototypes, and counts what the network before predicts."""
    finished = shorter(alone, method, "memory.capacity=0", f"method={method}")
    training = Training(finished, "train_step", "1").has_saved()
    training.process.kill()
    training.end()
    assert training.goes_on() > 0


def test_an_increment_with_fixed_views_goes_on_to_the_same_bits_while_it_computes_and_while_it_trains(
    alone: Finished,
) -> None:
    training = Training(shorter(alone, "views", "recipe.increment.views=8"), "train_step", "1")
    appears(training.states, "*.views/*.safetensors", training.process)
    training.process.kill()
    training.process.wait()
    (views,) = training.states.glob("*.views")
    kept = {path.name: path.stat().st_mtime_ns for path in views.glob("*.safetensors")}
    again = training.start()
    training.has_saved()
    assert {name: (views / name).stat().st_mtime_ns for name in kept} == kept  # none is computed again
    again.kill()
    training.end()
    assert training.goes_on() > 0
    assert not views.exists()


def test_an_orphan_in_the_same_folder_hands_over_what_it_has_learned(alone: Finished) -> None:
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
    assert re.search(r"goes on after iteration (\d+) of \1 \(all iterations are done", again.text)
    assert digests(orphan.clone.root) == orphan.whole


def test_what_was_edited_meanwhile_is_not_recorded_as_what_it_was_trained_with(alone: Finished) -> None:
    """DVC looks at parameters only when a stage has ended."""
    training = Training(alone, "train_base").has_saved()
    params = training.clone.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("momentum: 0.9", "momentum: 0.8"))
    message = training.end()
    params.write_text(before)
    assert training.process.returncode == 1
    assert "error: train_base: recipe.base.momentum changed while this ran" in message
    assert training.goes_on() == 180  # nothing of it is lost


def test_the_best_weights_on_the_way_go_on_too(alone: Finished) -> None:
    clone = alone[0].copy(alone[0].root.with_name("scored"))
    params = yaml.safe_load((clone.root / "params.yaml").read_text())
    params["data"]["holdout"], params["method"]["selection"] = 0.3, "holdout"
    (clone.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for stage in ("splits", "train_base"):
        assert clone.stage(stage).code == 0
    training = Training((clone, digests(clone.root)), "train_base")
    training.has_saved(scored=True).process.send_signal(signal.SIGTERM)
    training.end()
    assert training.goes_on() > 0


def test_two_processes_that_are_asked_to_end_save_themselves_once_and_go_on(inexact: Finished) -> None:
    """SLURM sends the signal to every process."""
    training = Training(inexact, "train_step", "1", SSUL_DEVICES="2").has_saved()
    os.killpg(training.process.pid, signal.SIGTERM)
    message = training.end()
    assert training.process.returncode == 128 + signal.SIGTERM, message
    (ended,) = re.findall(r"SIGTERM after iteration (\d+) of \d+: the same command goes on", message)
    assert "has died" not in message
    assert "Traceback" not in message
    assert f"goes on after iteration {ended} of" in succeeded(training.clone.stage(*training.words)).text


def test_a_loader_that_the_kernel_kills_is_reported_and_the_training_goes_on(alone: Finished) -> None:
    training = Training(alone, "train_base", SSUL_WORKERS="1").has_saved()
    for loader in psutil.Process(training.process.pid).children():
        loader.kill()
    message = training.end()
    assert training.process.returncode == 1
    assert "error: a process that loads" in message
    assert "Traceback" not in message
    assert training.goes_on() > 0


def test_images_that_vanish_during_a_training_are_named_and_it_goes_on_when_they_are_back(alone: Finished) -> None:
    training = Training(alone, "train_base", SSUL_CACHE_MIB="0", SSUL_WORKERS="1").has_saved()
    drawn = training.clone.root / "data" / "drawn"
    drawn.rename(drawn.with_name("elsewhere"))
    message = training.end()
    drawn.with_name("elsewhere").rename(drawn)
    assert training.process.returncode == 1
    assert re.search(r"error: \w+ below data/drawn cannot be read .*: mend or bring back its files", message)
    assert "Traceback" not in message
    assert training.goes_on() > 0


def test_when_one_of_two_processes_is_killed_the_other_ends_and_one_process_goes_on(inexact: Finished) -> None:
    training = Training(inexact, "train_step", "1", SSUL_DEVICES="2").has_saved()
    (second,) = (
        child
        for child in psutil.Process(training.process.pid).children(recursive=True)
        if child.environ().get("LOCAL_RANK") == "1"
    )
    second.kill()
    message = training.end()
    assert training.process.returncode != 0
    assert "error: a process of this training" in message
    assert "Traceback" not in message
    again = training.clone.stage(*training.words)
    assert again.code == 0, again.text
    assert re.search(
        r"goes on after iteration \d+ of \d+ \(started on 2 x CPU, 1 thread: rounding may differ\)", again.text
    )


def test_of_two_commands_in_one_clone_one_is_refused_or_waits_and_the_results_are_right(alone: Finished) -> None:
    clone = alone[0].copy(alone[0].root.with_name("two"))
    shutil.rmtree(clone.root / "data" / "cache")
    with ThreadPoolExecutor() as pool:
        repro = ("repro", "--force", "--single-item", "train_base")
        outcomes = [command.result() for command in [pool.submit(clone.dvc, *repro) for _ in range(2)]]
    refused = [outcome.text for outcome in outcomes if outcome.code]
    assert len(refused) < 2, outcomes
    assert all(re.search(r"is busy, it is being blocked|Unable to acquire lock", text) for text in refused), refused
    assert digests(clone.root) == alone[1]


def test_a_store_that_another_process_holds_costs_no_result_and_is_logged_later(
    alone: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, whole = alone
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
