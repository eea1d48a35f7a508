"""A real SLURM of two nodes on this machine runs the commands of docs/cluster.md."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from tests.pipeline.clone import TINY, Clone, Outcome, make_clone, rows, succeeded, switches
from tests.pipeline.slurm import Slurm, has_ended, missing, slurm
from tests.project import PROJECT, commands_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"{', '.join(missing())} missing: apt-get install slurm-wlm munge"),
]
SCRIPT = "docs/cluster/ssul.sbatch"
COMMANDS = commands_in((PROJECT / "docs" / "cluster.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with slurm() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSUL_ACCELERATOR", "cpu")
        yield running


def submit(cluster: Slurm, clone: Clone, *words: str, **variables: str) -> str:
    """The number of a job that runs the page's script; the page has its options."""
    options = [word for word in words[: words.index(SCRIPT)] if word.startswith("--")]
    names = {word.partition("=")[0] for command in COMMANDS if command[0] == "sbatch" for word in command}
    assert {option.partition("=")[0] for option in options} <= names
    return cluster.submit(clone.root, clone.environment | variables, *words)


def log(clone: Clone, job: str) -> str:
    """What a job has printed; nothing before its start."""
    file = clone.root / f"slurm-{job}.out"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def checkpoint(clone: Clone, job: str) -> str:
    """The digest of the network after the increment, as the experiment of a job has recorded it."""
    references = clone.command("git", "for-each-ref", "--format=%(refname)", "refs/exps").text.split()
    (experiment,) = [one for one in references if one.endswith(f"/ssul-{job}")]
    lock = yaml.safe_load(succeeded(clone.command("git", "show", f"{experiment}:dvc.lock")).text)
    outs = lock["stages"]["train_step@1"]["outs"]
    return next(str(out["md5"]) for out in outs if out["path"] == "data/checkpoints/step_1")


def test_slurm_takes_every_command_of_the_page(cluster: Slurm) -> None:
    submitted = [command for command in COMMANDS if command[0] == "sbatch"]
    assert len(submitted) >= 3
    waiting = cluster.ask("sbatch", "--parsable", "--hold", SCRIPT).strip()
    for _, *words in submitted:
        cluster.ask("sbatch", "--test-only", *(word.replace("JOB", waiting) for word in words))
    cluster.ask("scancel", waiting)


def test_one_job_runs_the_pipeline_over_two_nodes_with_the_scores_of_one_process(
    cluster: Slurm, template: tuple[Clone, Outcome], tmp_path: Path
) -> None:
    clone = make_clone(tmp_path / "project")
    job = submit(cluster, clone, "--nodes=2", SCRIPT, *switches(*TINY), SSUL_TRACKING="off")
    assert cluster.ended(job) == ["COMPLETED"], log(clone, job)[-3000:]
    printed = log(clone, job)
    assert printed.count("one process trains, because norms that learn cannot be shared on cpu") == 1
    two_increments, three_evaluations = 2, 3
    shared = printed.count("All distributed processes registered. Starting with 2 processes")
    assert shared == two_increments + three_evaluations
    assert "HINT" not in printed
    assert succeeded(clone.command("git", "status", "--porcelain")).text == ""
    succeeded(clone.dvc("exp", "apply", f"ssul-{job}"))
    assert scores(clone) == pytest.approx(scores(template[0]), abs=1e-3)


def scores(clone: Clone) -> list[float]:
    """All scores of all steps."""
    return [value for row in rows(clone) for value in row.values() if isinstance(value, float)]


def test_a_job_that_must_go_saves_its_training_comes_back_and_ends_as_an_undisturbed_one(
    cluster: Slurm, tmp_path: Path
) -> None:
    world = (*TINY, "recipe.increment.epochs=40", "scenario.base_classes=8")
    clone = make_clone(tmp_path / "disturbed", *world)
    succeeded(clone.dvc("repro", "select_memory@1"))
    other = clone.copy(tmp_path / "undisturbed")
    words = ("--nodes=2", SCRIPT, *switches(*world), "train_step@1")
    variables = {"SSUL_SAVE_MINUTES": "0.01", "SSUL_TRACKING": "off"}
    before = states(clone)
    job = submit(cluster, clone, *words, **variables)
    undisturbed = submit(cluster, other, *words, **variables)
    end = time.monotonic() + 600
    while states(clone) == before:
        assert not has_ended(cluster.states(job)), log(clone, job)[-3000:]
        assert time.monotonic() < end
        time.sleep(0.2)
    cluster.ask("scancel", "--batch", "--signal=USR1", job)  # as SLURM does before the time limit
    assert cluster.ended(job) == cluster.ended(undisturbed) == ["COMPLETED"], log(clone, job)[-3000:]
    stopped = re.search(r"step 1: SIGTERM after iteration (\d+) of \d+: the same command goes on", log(clone, job))
    assert stopped is not None, log(clone, job)[-3000:]
    assert f"step 1: goes on after iteration {stopped[1]} of" in log(clone, job)
    assert "goes on after" not in log(other, undisturbed)
    assert checkpoint(clone, job) == checkpoint(other, undisturbed)


def states(clone: Clone) -> set[Path]:
    """The saved states of trainings."""
    return set((clone.root / "data" / "cache" / "trainings").glob("*.safetensors"))


def test_the_tasks_of_an_array_train_their_base_once_and_log_in_one_store(cluster: Slurm, tmp_path: Path) -> None:
    clone = make_clone(tmp_path / "project")
    common = " ".join(switches(*TINY, "scenario=shapes_offline", "recipe.base.epochs=20"))
    kinds = ("full", "crop", "full -S evaluation.examples=1")
    lines = [f"-S 'evaluation.protocol={kinds[0]}'", *(f"-S evaluation.protocol={kind}" for kind in kinds[1:])]
    (clone.root / "sweep.txt").write_text("".join(f"{common} {line}\n" for line in lines), encoding="utf-8")
    job = submit(cluster, clone, "--array=1-3", SCRIPT, "sweep.txt", SSUL_SAVE_MINUTES="0.01")
    assert cluster.ended(job) == ["COMPLETED"] * 3
    logs = [path.read_text(encoding="utf-8") for path in sorted(clone.root.glob(f"slurm-{job}_*.out"))]
    taken = [
        one
        for one in logs
        if re.search(r"step 0: goes on after iteration (\d+) of \1 \(all iterations are done", one)
        or "Stage 'train_base' is cached" in one
    ]
    assert (len(logs), len(taken)) == (3, 2)
    with closing(sqlite3.connect(clone.root / "mlflow.db")) as store:
        runs = store.execute("SELECT name FROM runs WHERE status = 'FINISHED' AND name LIKE '%[ssul-%'").fetchall()
    assert len(runs) == 3
