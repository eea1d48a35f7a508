"""The whole pipeline through real `dvc`: what is in the results of a run, and where a scenario may start.

The tests of this module run in order over one clone.
"""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.pipeline.clone import EVERYTHING, TINY, Clone, Outcome, digest, rows, succeeded, switches

pytestmark = pytest.mark.slow


def test_a_fresh_clone_runs_every_stage_once(first: Outcome) -> None:
    assert sorted(first.ran) == sorted(EVERYTHING)
    assert first.restored == []


def test_a_fresh_clone_that_finds_the_committed_results_again_logs_its_run(
    clone: Clone, first: Outcome, tmp_path: Path
) -> None:
    """The report's files are in git: where nothing else were missing dvc would not run it, and MLflow would lack it."""
    fresh = Clone(tmp_path / "fresh")
    assert clone.command("git", "clone", "-q", str(clone.root), str(fresh.root)).code == 0
    for name in ("dvc.lock", "params.yaml"):
        shutil.copyfile(clone.root / name, fresh.root / name)
    shutil.copytree(clone.root / "reports", fresh.root / "reports", dirs_exist_ok=True)
    outcome = succeeded(fresh.dvc("repro"))
    assert digest(fresh.root / "reports") == digest(clone.root / "reports")
    assert "report" in outcome.ran
    assert succeeded(fresh.dvc("repro")).ran == []


def test_the_results_have_a_row_for_each_step_with_values_in_0_to_1_or_null(clone: Clone, first: Outcome) -> None:
    table = rows(clone)
    assert [row["step"] for row in table] == [0, 1, 2]
    assert table[0]["new"] is None
    assert table[0]["previous"] is None
    for row in table:
        assert {"old", "new", "all", "previous", "current"} <= set(row)
        assert all(value is None or 0 <= value <= 1 for name, value in row.items() if name in ("old", "new", "all"))
    final = json.loads((clone.root / "reports" / "metrics.json").read_text())["final"]
    assert {name: final[name] for name in ("old", "new", "all")} == {
        name: table[-1][name] for name in ("old", "new", "all")
    }


def test_the_report_ends_by_printing_the_table_and_where_to_look(clone: Clone, first: Outcome) -> None:
    assert "reports/index.md" in first.text
    assert "MLflow: make ui" in first.text
    shown = succeeded(clone.command("ssul", "show"))
    assert "ssul shapes_6-2 overlapped small, seed 0: mean IoU" in shown.text
    assert shown.text.splitlines()[0] in first.text
    assert "reports/index.md" in shown.text


def test_mlflow_holds_one_parent_run_with_all_points(clone: Clone, first: Outcome) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{clone.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ssul")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`ssul.fingerprint` LIKE '%'")
    assert len(runs) == 1
    points = client.get_metric_history(runs[0].info.run_id, "miou_all")
    assert len(points) == len(rows(clone))
    assert {point.step: point.value for point in points} == pytest.approx(
        {row["step"]: row["all"] for row in rows(clone)}, abs=1e-6
    )
    assert len(client.get_metric_history(runs[0].info.run_id, "miou_new")) == 2
    assert runs[0].data.params["memory.capacity"] == "0"


def test_a_second_repro_runs_nothing(clone: Clone, first: Outcome) -> None:
    again = succeeded(clone.dvc("repro"))
    assert again.ran == []
    assert again.restored == []


def test_evaluating_a_checkpoint_as_its_page_says_gives_the_pipelines_own_numbers(clone: Clone, first: Outcome) -> None:
    page = (clone.root / "docs" / "import.md").read_text(encoding="utf-8")
    command = re.search(r"^(ssul evaluate .*)$", page, flags=re.MULTILINE)
    assert command is not None
    printed = succeeded(clone.command(*shlex.split(command[1]), "--json"))
    scores = json.loads(printed.text[printed.text.index("{") : printed.text.rindex("}") + 1])
    last = rows(clone)[-1]
    assert {name: scores[name] for name in ("old", "new", "all", "previous", "current")} == pytest.approx(
        {name: last[name] for name in ("old", "new", "all", "previous", "current")}, abs=1e-6
    )


def test_a_scenario_can_start_from_a_given_checkpoint(clone: Clone, base: dict[str, str], tmp_path: Path) -> None:
    given = tmp_path / "given"
    succeeded(clone.command("cp", "-r", str(clone.root / "data" / "checkpoints" / "step_0"), str(given)))
    outcome = succeeded(clone.experiment(f"recipe.base.checkpoint='{given}'"))
    assert {"prepare", "train_base", "report"} <= set(outcome.ran)
    assert [stage for stage in outcome.ran if "@" in stage] == []  # the same base: nothing else is trained anew
    assert f"step 0: taken from {given}" in outcome.text
    assert digest(clone.root / "data" / "checkpoints" / "step_0") == base
    other = clone.experiment(f"recipe.base.checkpoint='{given}'", "method=finetune")
    assert other.code != 0
    assert "has another label space than the parameters" in other.text


def test_a_loss_that_is_not_finite_stops_the_training_and_says_where(clone: Clone, base: dict[str, str]) -> None:
    outcome = clone.experiment("recipe.increment.lr=1e30")
    assert outcome.code != 0
    message = re.search(r"error: (step 1: the loss is .*)", outcome.text)
    assert message is not None, outcome.text[-3000:]
    for words in ("at iteration", "with rates", "The batch was train_", "data/cache/last_good/step_1"):
        assert words in message[1]
    assert (clone.root / "data" / "cache" / "last_good" / "step_1" / "model.json").is_file()
    assert not (clone.root / "data" / "checkpoints" / "step_1").exists()


def test_an_increment_that_two_processes_train_is_the_one_that_one_process_trains(
    clone: Clone, base: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded(clone.dvc("exp", "run", *switches(*TINY, "memory.capacity=4"), "train_step@1"))
    place = clone.root / "data" / "checkpoints" / "step_1"
    alone = {path.name: load_file(path) for path in place.glob("*.safetensors")}
    monkeypatch.setenv("SSUL_DEVICES", "2")
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    outcome = succeeded(clone.stage("train_step", "1"))
    assert outcome.text.count("step 1: learning") == 1  # one of them prints
    assert json.loads((place / "training.json").read_text())["hardware"].startswith("2 x CPU")
    for name, tensors in alone.items():
        for key, tensor in load_file(place / name).items():
            torch.testing.assert_close(tensor, tensors[key], rtol=1e-4, atol=1e-5, msg=f"{name}, {key}")
