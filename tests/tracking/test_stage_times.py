"""The time of a stage is found again with its outputs, and with no others."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from ssul.config.stages import Stage
from ssul.tracking.runs import log_finished
from ssul.tracking.stage_times import StageTime, known_times, note_time, total_seconds
from tests.tracking.examples import children, client, finished

STAGE = Stage(
    "train_step@1", "python -m stages.train_step 1", (), (), ("data/checkpoints/step_1", "data/made_with/x.json")
)
TIME = StageTime(40.0, 0.0, 30.0, 12.5, {"torch": "2.12"})


def test_the_time_comes_back_with_the_outputs_and_not_with_others(project: Path) -> None:
    note_time(STAGE, TIME)
    assert known_times([STAGE]) == {}  # there were no outputs
    model = Path("data/checkpoints/step_1/model.json")
    model.parent.mkdir(parents=True)
    model.write_text("one")
    note_time(STAGE, TIME)
    model.write_text("two")
    assert known_times([STAGE]) == {}
    model.write_text("one")  # as dvc restores it
    assert known_times([STAGE]) == {"train_step@1": TIME}


def test_a_stage_that_does_not_run_because_another_has_made_its_outputs_has_the_time_of_that_one(project: Path) -> None:
    one, other = (Stage(f"select_memory@{k}", "", (), (), (f"data/memory/step_{k}.json",)) for k in (1, 2))
    for stage in (one, other):
        Path(stage.outs[0]).parent.mkdir(parents=True, exist_ok=True)
        Path(stage.outs[0]).write_text("[]")
    note_time(one, TIME)
    assert known_times([one, other]) == {"select_memory@1": TIME, "select_memory@2": TIME}


def test_the_stages_of_the_running_command_count_once_with_all_its_time_between_them() -> None:
    command = time.time() - 500
    times = [TIME, replace(TIME, command=command)]
    assert total_seconds(times, command) == pytest.approx(540, abs=5)


def milliseconds(run_id: str) -> int:
    info = client().get_run(run_id).info
    return int(info.end_time - info.start_time)


@pytest.mark.parametrize("again", [1, 2])
def test_a_run_lasts_as_long_as_its_stages_did_and_so_do_the_runs_of_its_steps(
    project: Path, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssul.tracking.finished.command_start", time.time)
    times = {"train_base": replace(TIME, seconds=100.0), "train_step@1": TIME}
    for _ in range(again):
        run_id = log_finished(replace(finished(project), times=times))
    assert milliseconds(run_id) == pytest.approx(140_000, abs=20)
    assert [milliseconds(run.info.run_id) for run in children(run_id).values()] == [100_000, 40_000]
    assert client().get_run(run_id).data.metrics["train_images_per_second"] == 12.5


def test_a_run_whose_time_is_not_known_keeps_the_end_that_it_has(project: Path) -> None:
    run_id = log_finished(replace(finished(project), unmeasured=("train_base",)))
    before = milliseconds(run_id)
    log_finished(replace(finished(project), unmeasured=("train_base",)))
    assert milliseconds(run_id) == before
