"""Kills runs again and again and shows that nothing is lost: the end is, to the bit, that of a run left alone.

    python -m tests.pipeline.torture [--kills 30] [--seed 0] [-S method=star] [--json FILE]

SIGKILL hits the training, dvc, their whole process group, or a worker of dvc's queue: at a time uniform over the run,
in a training after its first saved state, or while a state is being written. Each time the same command is given again.
At the end of a run its checkpoints, scores and metrics are compared with those of the undisturbed run. Then a fresh run
begins, until all planned kills are done.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from ssul.environment import SAVE_MINUTES
from ssul.training.resume import StateFile
from tests.pipeline.clone import TINY, Clone, make_clone, switches

INTERVAL = 0.5
"""Seconds between two savings of a training."""
WORLD = (
    *(*TINY, "scenario.base_classes=8", "model.width=32", "memory.capacity=4"),
    *("recipe.base.epochs=30", "recipe.increment.epochs=60"),
)
TRAININGS = ("train_base", "train_step 1")
RESULTS = ("data/checkpoints", "data/evaluation", "data/memory", "reports")
ENVIRONMENT = {SAVE_MINUTES: str(INTERVAL / 60), "SSUL_TRACKING": "off"}
_IN_A_RUN = 5  # times uniform over it
_ITERATION, _STARTING = 2.0, 10.0  # seconds on a busy machine: one and its state; until a training begins again
_PATIENCE = 600.0  # seconds until something must have come to an end


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        target: the killed process: training, dvc, group or worker.
        moment: writing (it left half a state), trained or any.
        stage: the stage that ran; empty between two stages.
        saved: the last iteration that the training had saved; None without a state.
        lost: seconds of work to repeat: since that state, or since the stage began.
        again: whether the training had been begun again and had saved nothing since.
        followed: the iteration from which the next run went on; None where it had nothing to go on from.
    """

    target: str
    moment: str
    stage: str
    saved: int | None
    lost: float
    again: bool = False
    followed: int | None = None


def plan(kills: int, pick: random.Random) -> list[tuple[str, str]]:
    """Target and moment of each kill: a third after a saved state, an eighth in writes, an eighth in the queue."""
    wanted = [(pick.choice(("training", "group")), "writing") for _ in range(max(1, kills // 8))]
    wanted += [(pick.choice(("training", "dvc", "group")), "trained") for _ in range(max(1, kills // 3))]
    wanted += [("worker", pick.choice(("any", "trained"))) for _ in range(max(1, kills // 8))]
    wanted += [(pick.choice(("training", "dvc", "group")), "any") for _ in range(kills - len(wanted))]
    pick.shuffle(wanted)
    return sorted(wanted, key=lambda one: one[0] == "worker")  # last, for each needs a run of its own


def digests(root: Path) -> dict[str, str]:
    """What a run has left, by file."""
    files = [path for part in RESULTS for path in sorted((root / part).rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Run:
    """`dvc repro` in a clone, given again until it ends."""

    def __init__(self, clone: Clone, seconds: float, pick: random.Random, world: Sequence[str] = WORLD) -> None:
        """Takes a clone in which nothing has run, the seconds of an undisturbed run, the source of random times, and
        the overrides of the clone's parameters."""
        self.clone, self.seconds, self.pick, self.world = clone, seconds, pick, world
        self.log = clone.root.with_suffix(".log")
        self.states = clone.root / "data" / "cache" / "trainings"
        self.command: subprocess.Popen[bytes] | None = None
        self.times, self.at = sorted(pick.uniform(0, seconds) for _ in range(_IN_A_RUN)), 0.0

    def start(self) -> None:
        """Starts the command."""
        self.clone.repair()
        with self.log.open("ab") as log:
            self.command = subprocess.Popen(
                [sys.executable, "-m", "dvc", "repro"],
                cwd=self.clone.root,
                env=self.clone.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Whether the command came to its end; it must be a good one."""
        assert self.command is not None
        code = self.command.poll()
        assert not code, f"dvc ended with {code}: {self.output()[-3000:]}"
        return code is not None

    def output(self) -> str:
        """The output of all commands."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def victims(self, target: str) -> list[psutil.Process]:
        """The processes that are killed."""
        assert self.command is not None
        dvc, running = psutil.Process(self.command.pid), self.stage()
        if target == "group":
            return [dvc, *dvc.children(recursive=True)]
        return [running[0]] if target == "training" and running is not None else [dvc]

    def kill(self, target: str, moment: str) -> Kill | None:
        """Kills at such a moment; None if the run ended before."""
        if not self._reach(moment):
            return None
        running, kept, victims, torn = self.stage(), self._kept(), self.victims(target), self._torn()
        if moment == "writing" and running is not None:
            training = running[0]
            if not self.until(lambda: bool(self._torn() - torn) or not training.is_running(), pause=0.0):
                return None
        killed_at = time.time()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        psutil.wait_procs(victims, timeout=_PATIENCE)
        if self.command is not None:
            self.command.wait(timeout=_PATIENCE)  # dvc reports a killed training, and ends
        if moment == "writing" and not self._torn() - torn:
            moment = "any"  # too late
        return self._report(target, moment, running, kept, killed_at)

    def _report(
        self, target: str, moment: str, running: tuple[psutil.Process, str] | None, kept: StateFile | None, at: float
    ) -> Kill:
        if running is None:
            return Kill(target, moment, "", None, 0.0)
        began = running[0].create_time()
        if kept is None:
            return Kill(target, moment, running[1], None, round(at - began, 2))
        saved = kept.read()
        assert saved is not None
        saved_at = kept.path("safetensors").stat().st_mtime
        lost = round(max(0.0, at - max(began, saved_at)), 2)
        return Kill(target, moment, running[1], saved.notes["iteration"], lost, again=saved_at < began)

    def stage(self) -> tuple[psutil.Process, str] | None:
        """The stage that runs, and its name."""
        for process in self.processes():
            with suppress(psutil.Error):
                words = process.cmdline()[1:]
                if words[:1] == ["-m"] and words[1].startswith("stages.") and words[1] != "ssul.tracking.follow":
                    return process, " ".join(words[1:]).removeprefix("stages.")
        return None

    def processes(self) -> list[psutil.Process]:
        """All that live in this clone."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and Path(process.cwd()).is_relative_to(self.clone.root):
                    found.append(process)
        return found

    def _reach(self, moment: str) -> bool:
        """Waits until a moment has come, or is near if the kill is to hit a write; False if the run ends before."""
        if moment == "any":
            if not self.times:
                return self.until(lambda: False)
            self.at, before = self.times.pop(0), self.at
            later = time.monotonic() + self.at - before
            return self.until(lambda: time.monotonic() >= later)
        wanted = self.pick.choice(TRAININGS) if moment == "writing" else TRAININGS[-1]
        if not self.until(lambda: self._trains(wanted)):
            return False
        later = time.monotonic() + (self.pick.uniform(0, 1) if moment == "trained" else 0.0)
        if not self.until(lambda: time.monotonic() >= later):
            return False
        return self._trains(wanted) or self._reach(moment)

    def _trains(self, stage: str) -> bool:
        """Whether a training runs that has saved its state."""
        running = self.stage()
        return running is not None and running[1] == stage and self._kept() is not None

    def until(self, met: Callable[[], bool], *, pause: float = 0.05) -> bool:
        """Waits for something; False if the run ends before."""
        end = time.monotonic() + _PATIENCE
        while not met():
            if self.ended():
                return False
            assert time.monotonic() < end, f"nothing happens: {self.output()[-3000:]}"
            time.sleep(pause)
        return True

    def _kept(self) -> StateFile | None:
        """The saved state of the training that runs, if it has saved one."""
        running = self.stage()
        if running is not None:
            for holder in self.states.glob("*.holder"):
                with suppress(OSError):
                    if (
                        holder.read_text().startswith(f"process {running[0].pid} ")
                        and holder.with_suffix(".safetensors").exists()
                    ):
                        return StateFile(self.states, holder.stem)
        return None

    def _torn(self) -> set[str]:
        """States that are half written."""
        return {path.name for path in self.states.glob(".*.safetensors.*.tmp")} if self.states.is_dir() else set()


class QueuedRun(Run):
    """The same as an experiment of dvc's queue, queued again until it ends."""

    name = ""
    _looked = 0.0

    def start(self) -> None:
        """Queues it, and starts a worker where none is."""
        self.clone.repair()
        self.name = f"again-{len(self.output())}"
        overrides = switches(*self.world)  # dvc composes the parameters of each experiment
        queued = self.clone.dvc("exp", "run", "--queue", "-n", self.name, *overrides)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(queued.text)
        assert queued.code == 0, queued.text
        assert self.clone.background("queue", "start", "-j", "1").wait(timeout=_PATIENCE) == 0

    def ended(self) -> bool:
        """Whether the worker came to its end."""
        if time.monotonic() - self._looked < 15:  # asking takes dvc long
            return False
        self._looked = time.monotonic()
        (status,) = (line for line in self.clone.dvc("queue", "status").text.splitlines() if self.name in line)
        if "Success" not in status:
            assert "Failed" not in status, self.output() + self.clone.dvc("queue", "logs", self.name).text
            return False
        with self.log.open("a", encoding="utf-8") as log:
            log.write(self.clone.dvc("queue", "logs", self.name).text)
        outcome = self.clone.dvc("exp", "apply", self.name)
        assert outcome.code == 0, outcome.text
        return True

    def victims(self, target: str) -> list[psutil.Process]:
        """The worker; what it has started lives on."""
        del target
        return [process for process in self.processes() if "queue-worker" in process.cmdline()]

    def output(self) -> str:
        """The output of all commands."""
        return super().output() if self.log.exists() else ""


def undisturbed(pristine: Clone, root: Path) -> tuple[Clone, float]:
    """A run that is left alone, and how many seconds it took."""
    alone = Run(pristine.copy(root), 0.0, random.Random())
    began = time.monotonic()
    alone.start()
    alone.until(lambda: False)
    return alone.clone, time.monotonic() - began


def torture(
    wanted: list[tuple[str, str]],
    pristine: Clone,
    whole: dict[str, str],
    seconds: float,
    pick: random.Random,
    world: Sequence[str],
) -> list[Kill]:
    """Carries out a plan of kills.

    Args:
        wanted: target and moment of each kill; see `plan`.
        pristine: a clone in which nothing has run; others are made beside it.
        whole: the digests of what an undisturbed run leaves.
        seconds: how long that run takes.
        pick: the source of random times.
        world: the overrides of the clone's parameters.
    """
    kills: list[Kill] = []
    rounds = 0
    while wanted:
        rounds += 1
        queued = wanted[0][0] == "worker"
        clone = pristine.copy(pristine.root.with_name(f"round_{rounds}"))
        run = (QueuedRun if queued else Run)(clone, seconds, pick, world)
        kills += one_round(run, wanted, queued)
        found = digests(clone.root)
        different = sorted(name for name in whole | found if whole.get(name) != found.get(name))
        assert not different, f"round {rounds} ended otherwise in {len(different)} files: {different[:3]}, …"
        print(f"round {rounds}: {len(whole)} files as undisturbed, {len(kills)} kills so far", flush=True)
        for process in run.processes():
            process.kill()
        shutil.rmtree(clone.root)
    return kills


def one_round(run: Run, wanted: list[tuple[str, str]], queued: bool) -> list[Kill]:
    """Lets a run come to its end; removes the kills on the way from the list."""
    kills: list[tuple[Kill, int]] = []
    while True:
        run.start()
        if not wanted or (wanted[0][0] == "worker") != queued:
            run.until(lambda: False)
            break
        killed = run.kill(*wanted[0])
        if killed is None:
            break
        if killed.moment == wanted[0][1]:  # else it was too late for a write: once more
            wanted.pop(0)
        kills.append((killed, len(run.output())))
        print(f"  {killed}", flush=True)
    output = run.output()
    return [replace(kill, followed=gone_on(kill, output[at:])) for kill, at in kills]


def gone_on(kill: Kill, output: str) -> int | None:
    """The iteration from which the training of a stage was gone on with first; the saved one if it had ended."""
    if f"Running stage '{kill.stage.replace(' ', '@')}'" not in output:
        return kill.saved
    step = kill.stage.rpartition(" ")[2].replace("train_base", "0")
    found = re.search(rf"step {step}: goes on after iteration (\d+)", output)
    return int(found[1]) if found else None


def faults(kills: Sequence[Kill]) -> list[str]:
    """What was lost: trainings that did not go on from where they had been saved, or had not been saved in time."""
    saved = [kill for kill in kills if kill.saved is not None]
    allowed = {False: INTERVAL + _ITERATION, True: INTERVAL + _STARTING}
    late = [f"not saved in time: {kill}" for kill in saved if kill.lost > allowed[kill.again]]
    return late + [f"not gone on with: {kill}" for kill in saved if (kill.followed or 0) < (kill.saved or 0)]


def enough(kills: Sequence[Kill], wanted: Sequence[tuple[str, str]]) -> bool:
    """Whether as many as planned were hit in a step after it had saved, and in a write."""
    step = sum(kill.moment == "trained" and kill.stage == TRAININGS[-1] for kill in kills)
    writes = sum(kill.moment == "writing" for kill in kills)
    planned = Counter(moment for _, moment in wanted)
    return step >= planned["trained"] and writes >= planned["writing"]


def main() -> None:
    """Tortures, prints each kill, and fails if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "-S",
        dest="overrides",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter, such as method=dkd",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the kills there too")
    given = parser.parse_args()
    pick = random.Random(given.seed)
    os.environ |= ENVIRONMENT
    world = (*WORLD, *given.overrides)
    with tempfile.TemporaryDirectory() as place:
        pristine = make_clone(Path(place) / "pristine", *world)
        alone, seconds = undisturbed(pristine, Path(place) / "alone")
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        wanted = plan(given.kills, pick)
        kills = torture(list(wanted), pristine, digests(alone.root), seconds, pick, world)
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(kill) for kill in kills], indent=1) + "\n", encoding="utf-8")
    lost = [kill.lost for kill in kills if kill.saved is not None and not kill.again]
    print(
        f"{len(kills)} kills: {dict(Counter(kill.target for kill in kills))}, "
        f"{sum(kill.moment == 'writing' for kill in kills)} in a write; {len(lost)} in trainings that had saved since "
        f"they began, every {INTERVAL} s, with seconds of work to do again: median {statistics.median(lost):.2f}, at "
        f"most {max(lost):.2f}; {sum(kill.again for kill in kills)} in such that had begun again and not saved yet"
    )
    if not enough(kills, wanted):
        sys.exit("too few were killed at the moments that were planned")
    if found := faults(kills):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
