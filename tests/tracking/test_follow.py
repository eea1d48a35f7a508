"""A running training in MLflow: every point once, and how it ended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssul.tracking.follow import follow
from ssul.tracking.runs import log_finished
from ssul.tracking.store import TrackingError
from tests.tracking.examples import (
    CURVES,
    DATA,
    ROWS,
    Points,
    children,
    client,
    experiment,
    finished,
    losses,
    parent,
    parents,
    points,
    runs,
)

STEP, LEARNED, NAME = 1, ["sheep", "cow"], "step 1: sheep, cow"
DRAWN = CURVES[1]["points"]
WHOLE = losses(CURVES[1])
DONE = {"done": True}


class Training:
    """A training in acts: one happens each time that the reader waits; after the last one the training has ended."""

    def __init__(self, journal: Path, *acts: Callable[[], object]) -> None:
        self.journal, self.acts = journal, iter(acts)
        journal.write_text("", encoding="utf-8")

    def write(self, text: str) -> None:
        with self.journal.open("a", encoding="utf-8") as lines:
            lines.write(text)

    def show(self, *shown: dict[str, Any]) -> None:
        self.write("".join(json.dumps(point) + "\n" for point in shown))

    def lives(self, seconds: float) -> bool:
        if seconds == 0:  # the reader asks and does not wait
            return True
        act = next(self.acts, None)
        if act is None:
            return False
        act()
        return True

    def follow(self) -> None:
        follow(self.journal, experiment(), STEP, LEARNED, self.lives, data=DATA)


@pytest.fixture
def journal(project: Path) -> Path:
    return project / "step_1.jsonl"


def child() -> Any:
    """The only run of the step."""
    (run,) = children(parent().info.run_id).values()
    return run


def logged(key: str = "loss") -> Points:
    return points(child().info.run_id, key)


def statuses() -> tuple[str, str]:
    """Of the step's run and of the experiment's."""
    return child().info.status, parent().info.status


def test_name_parameters_tags_data_and_points_arrive_while_the_training_runs(journal: Path) -> None:
    looks: list[object] = []

    def look() -> None:
        looks.append((logged(), statuses()))

    training = Training(
        journal,
        lambda: looks.append((parent().info.run_name, parent().data.params["seed"], parent().data.tags["scenario"])),
        lambda: training.show(DRAWN[0]),
        look,
        lambda: training.show(DRAWN[1]),
        look,
        lambda: training.show(DONE),
    )
    training.follow()
    assert looks[0] == ("ssul voc 15-1", "0", "voc_15-1")
    assert looks[1:] == [(WHOLE[:1], ("RUNNING", "RUNNING")), (WHOLE, ("RUNNING", "RUNNING"))]
    assert statuses() == ("FINISHED", "SCHEDULED")  # the experiment waits for its next step
    assert child().info.run_name == NAME
    for run in (parent(), child()):
        assert run.data.params["seed"] == "0"
        assert [one.dataset.digest for one in client().get_run(run.info.run_id).inputs.dataset_inputs] == [DATA.digest]


def test_a_half_written_line_is_read_when_it_is_whole(journal: Path) -> None:
    line = json.dumps(DRAWN[0]) + "\n"
    looks: list[Points] = []
    training = Training(
        journal,
        lambda: training.write(line[:12]),
        lambda: looks.append(logged()),
        lambda: training.write(line[12:-1]),
        lambda: looks.append(logged()),
        lambda: training.write("\n"),
        lambda: looks.append(logged()),
        lambda: training.show(DRAWN[1], DONE),
    )
    training.follow()
    assert looks == [[], [], WHOLE[:1]]
    assert logged() == WHOLE


def test_a_training_that_dies_leaves_its_runs_failed_and_its_half_written_line_is_left_out(journal: Path) -> None:
    training = Training(journal, lambda: training.show(DRAWN[0]), lambda: training.write(json.dumps(DRAWN[1])[:12]))
    training.follow()
    assert logged() == WHOLE[:1]
    assert statuses() == ("FAILED", "FAILED")


def test_a_journal_is_read_to_its_end_after_the_training_has_ended(journal: Path) -> None:
    training = Training(journal)
    training.show(*DRAWN, DONE)
    training.follow()
    assert logged() == WHOLE
    assert child().info.status == "FINISHED"


def test_a_training_that_is_resumed_adds_no_point_twice(journal: Path) -> None:
    died = Training(journal, lambda: died.show(DRAWN[0]))
    died.follow()
    looks: list[object] = []
    again = Training(
        journal,
        lambda: again.show(DRAWN[0]),
        lambda: looks.append((logged(), statuses())),
        lambda: again.show(DRAWN[1], DONE),
    )
    again.follow()
    assert looks == [(WHOLE[:1], ("RUNNING", "RUNNING"))]
    assert logged() == WHOLE
    assert child().info.status == "FINISHED"
    assert len(runs()) == 2


def test_more_points_than_one_request_of_mlflow_holds_arrive(journal: Path) -> None:
    many = [{"iteration": at, "loss": 0.5, "lr": 0.1, "a": 1.0, "b": 2.0} for at in range(1, 302)]
    training = Training(journal, lambda: training.show(*many, DONE))
    training.follow()
    assert len(logged()) == len(logged("b")) == 301


# ---- and the report -------------------------------------------------------------------------------------------------


def test_a_finished_experiment_stays_finished_when_a_step_is_trained_again_and_dies(
    journal: Path, project: Path
) -> None:
    log_finished(finished(project))
    again = Training(journal, lambda: again.show(DRAWN[0]))
    again.follow()
    assert parent().info.status == "FINISHED"
    assert {run.info.status for run in children(parent().info.run_id).values()} == {"FINISHED"}


def test_the_report_adds_the_missing_points_and_keeps_those_of_the_reader(project: Path, journal: Path) -> None:
    training = Training(journal, lambda: training.show(DRAWN[0] | {"images_per_second": 99.0}))
    training.follow()
    assert log_finished(finished(project)) == parent().info.run_id
    below = children(parent().info.run_id)[NAME].info
    assert points(below.run_id, "loss") == WHOLE
    assert points(below.run_id, "lr") == losses(CURVES[1], "lr")
    assert points(below.run_id, "images_per_second") == [(10, 99.0)]
    assert (below.status, parent().info.status) == ("FINISHED", "FINISHED")


@pytest.mark.parametrize("when", ["before", "while it runs", "at the end"])
def test_a_report_that_overtakes_the_reader_has_the_last_word_and_no_point_is_there_twice(
    project: Path, journal: Path, when: str
) -> None:
    training = Training(journal, lambda: training.show(*DRAWN, DONE), lambda: None)
    if when == "before":
        log_finished(finished(project))

    def overtaken(seconds: float) -> bool:
        lives = training.lives(seconds)
        if {"while it runs": seconds and lives, "at the end": not lives}.get(when):
            log_finished(finished(project))
        return lives

    follow(journal, experiment(), STEP, LEARNED, overtaken)
    below = children(parent().info.run_id)[NAME].info
    assert points(below.run_id, "loss") == WHOLE
    assert points(below.run_id, "lr") == losses(CURVES[1], "lr")
    assert (below.status, parent().info.status) == ("FINISHED", "FINISHED")
    assert len(parents()) == 1


def test_the_live_run_of_an_experiment_with_other_numbers_is_replaced_with_it(project: Path, journal: Path) -> None:
    log_finished(finished(project))
    training = Training(journal, lambda: training.show(*DRAWN, DONE))
    training.follow()
    run_id = log_finished(finished(project, rows=(ROWS[0], ROWS[1] | {"all": 0.3})))
    assert [run.info.run_id for run in parents()] == [run_id]
    assert len(runs()) == 3


def test_a_store_that_fails_while_points_are_logged_is_one_line(journal: Path) -> None:
    training = Training(
        journal,
        lambda: training.show(DRAWN[0]),
        lambda: client().delete_run(child().info.run_id),  # mlflow refuses points of a deleted run
        lambda: training.show(DRAWN[1]),
    )
    with pytest.raises(TrackingError, match="cannot be used") as caught:
        training.follow()
    assert "\n" not in str(caught.value)
