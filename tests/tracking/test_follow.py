"""A training in MLflow while it goes on: no point missing, none twice, and how it ended."""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ssul.tracking.follow import follow
from ssul.tracking.runs import log_finished
from ssul.tracking.store import TrackingError
from tests.tracking.examples import (
    CURVES,
    ROWS,
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

STEP, LEARNED = 1, ["sheep", "cow"]
DRAWN = CURVES[1]["points"]
DONE = {"done": True}


class Training:
    """A training in a few acts: each time that the reader waits, the next one happens; after the last it has ended."""

    def __init__(self, journal: Path, *acts: Callable[[], object]) -> None:
        self.journal, self.acts = journal, iter(acts)
        journal.write_text("", encoding="utf-8")

    def write(self, text: str) -> None:
        with self.journal.open("a", encoding="utf-8") as lines:
            lines.write(text)

    def show(self, *shown: dict[str, Any]) -> None:
        self.write("".join(json.dumps(point) + "\n" for point in shown))

    def lives(self, seconds: float) -> bool:
        if seconds == 0:  # asked, not waited
            return True
        act = next(self.acts, None)
        if act is None:
            return False
        act()
        return True

    def follow(self, of: str = "one") -> None:
        follow(self.journal, experiment(of), STEP, LEARNED, self.lives)


@pytest.fixture
def journal(project: Path) -> Path:
    return project / "step_1.jsonl"


def drawn(training_points: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(point["iteration"], point["loss"]) for point in training_points]


def child() -> Any:
    """The only run of the step."""
    (run,) = children(parent().info.run_id).values()
    return run


def seen() -> list[tuple[int, float]]:
    return points(child().info.run_id, "loss")


def test_points_appear_while_the_training_lives(journal: Path) -> None:
    looks = []

    def look() -> None:
        looks.append((seen(), child().info.status, parent().info.status))

    training = Training(
        journal,
        lambda: training.show(DRAWN[0]),
        look,
        lambda: training.show(DRAWN[1]),
        look,
        lambda: training.show(DONE),
    )
    training.follow()
    assert looks == [(drawn(DRAWN[:1]), "RUNNING", "RUNNING"), (drawn(DRAWN), "RUNNING", "RUNNING")]
    assert child().info.run_name == "step 1: sheep, cow"


def test_a_journal_that_is_written_while_it_is_read_arrives_whole(journal: Path) -> None:
    many = [{"iteration": at, "loss": 1 / at, "lr": 0.1} for at in range(1, 501)]
    training = Training(journal)
    ended = threading.Event()

    def train() -> None:
        text = "".join(json.dumps(point) + "\n" for point in [*many, DONE])
        for start in range(0, len(text), 777):  # lines end anywhere
            training.write(text[start : start + 777])
        ended.set()

    thread = threading.Thread(target=train)
    thread.start()
    follow(journal, experiment(), STEP, LEARNED, lambda seconds: not ended.wait(min(seconds, 0.01)))
    thread.join()
    assert seen() == drawn(many)
    assert child().info.status == "FINISHED"


def test_the_run_is_described_from_the_beginning(journal: Path) -> None:
    looks = []
    training = Training(journal, lambda: looks.append(parent()))
    training.follow()
    assert looks[0].info.run_name == "ssul voc 15-1"
    assert looks[0].data.params["seed"] == "0"
    assert looks[0].data.tags["scenario"] == "voc_15-1"


def test_a_half_written_line_is_read_when_it_is_whole(journal: Path) -> None:
    line = json.dumps(DRAWN[0]) + "\n"
    looks = []
    training = Training(
        journal,
        lambda: training.write(line[:12]),
        lambda: looks.append(seen()),
        lambda: training.write(line[12:-1]),
        lambda: looks.append(seen()),
        lambda: training.write("\n"),
        lambda: looks.append(seen()),
        lambda: training.show(DRAWN[1], DONE),
    )
    training.follow()
    assert looks == [[], [], drawn(DRAWN[:1])]
    assert seen() == drawn(DRAWN)


def test_a_line_that_a_dying_training_left_half_written_is_left_out(journal: Path) -> None:
    training = Training(journal, lambda: training.show(DRAWN[0]), lambda: training.write(json.dumps(DRAWN[1])[:12]))
    training.follow()
    assert seen() == drawn(DRAWN[:1])
    assert child().info.status == "FAILED"


def test_what_is_written_last_arrives_though_the_training_has_ended_by_then(journal: Path) -> None:
    training = Training(journal)
    training.show(*DRAWN, DONE)
    training.follow()
    assert seen() == drawn(DRAWN)
    assert child().info.status == "FINISHED"


def test_a_training_that_ends_well_leaves_its_run_finished_and_the_experiments_waiting(journal: Path) -> None:
    seen = []
    training = Training(journal, lambda: seen.append(parent().info.status), lambda: training.show(*DRAWN, DONE))
    training.follow()
    assert seen == ["RUNNING"]
    assert child().info.status == "FINISHED"
    assert parent().info.status == "SCHEDULED"


def test_an_experiment_that_is_finished_stays_so_when_it_is_begun_again_and_dies(journal: Path, project: Path) -> None:
    log_finished(finished(project))
    again = Training(journal, lambda: again.show(DRAWN[0]))
    again.follow()
    assert parent().info.status == "FINISHED"
    assert {run.info.status for run in children(parent().info.run_id).values()} == {"FINISHED"}


def test_a_report_that_comes_while_the_last_step_is_shown_has_the_last_word(journal: Path, project: Path) -> None:
    training = Training(journal, lambda: training.show(*DRAWN, DONE), lambda: log_finished(finished(project)))
    training.follow()
    assert parent().info.status == "FINISHED"


def test_a_training_that_dies_leaves_its_run_and_the_experiments_failed(journal: Path) -> None:
    training = Training(journal, lambda: training.show(DRAWN[0]))
    training.follow()
    assert child().info.status == "FAILED"
    assert parent().info.status == "FAILED"


def test_a_training_that_is_begun_again_adds_no_point_twice(journal: Path) -> None:
    died = Training(journal, lambda: died.show(DRAWN[0]))
    died.follow()
    looks = []
    again = Training(
        journal,
        lambda: again.show(DRAWN[0]),
        lambda: looks.append((seen(), child().info.status, parent().info.status)),
        lambda: again.show(DRAWN[1], DONE),
    )
    again.follow()
    assert looks == [(drawn(DRAWN[:1]), "RUNNING", "RUNNING")]
    assert seen() == drawn(DRAWN)
    assert child().info.status == "FINISHED"
    assert len(runs()) == 2


def test_more_points_than_mlflow_takes_at_once_arrive(journal: Path) -> None:
    many = [{"iteration": at, "loss": 0.5, "lr": 0.1, "a": 1.0, "b": 2.0} for at in range(1, 302)]
    training = Training(journal, lambda: training.show(*many, DONE))
    training.follow()
    assert len(seen()) == 301
    assert len(points(child().info.run_id, "b")) == 301


# ---- and the report -------------------------------------------------------------------------------------------------


def test_the_report_completes_what_the_reader_lacks_and_keeps_what_it_alone_saw(project: Path, journal: Path) -> None:
    training = Training(journal, lambda: training.show(DRAWN[0] | {"images_per_second": 99.0}))
    training.follow()
    run_id = log_finished(finished(project))
    assert run_id == parent().info.run_id
    below = children(run_id)["step 1: sheep, cow"].info
    assert points(below.run_id, "loss") == losses(CURVES[1])
    assert points(below.run_id, "lr") == losses(CURVES[1], "lr")
    assert points(below.run_id, "images_per_second") == [(10, 99.0)]
    assert below.status == "FINISHED"
    assert parent().info.status == "FINISHED"


def test_a_reader_that_comes_after_the_report_changes_nothing(project: Path, journal: Path) -> None:
    log_finished(finished(project))
    late = Training(journal)
    late.show(*DRAWN, DONE)
    follow(journal, experiment(), STEP, LEARNED, lambda _: False)
    assert parent().info.status == "FINISHED"
    below = children(parent().info.run_id)["step 1: sheep, cow"].info
    assert below.status == "FINISHED"
    assert points(below.run_id, "loss") == losses(CURVES[1])
    assert len(parents()) == 1


def test_a_reader_that_the_report_overtakes_adds_no_point_twice(project: Path, journal: Path) -> None:
    training = Training(journal, lambda: training.show(*DRAWN, DONE))

    def overtaken(seconds: float) -> bool:
        lives = training.lives(seconds)
        if not lives or seconds:
            log_finished(finished(project))
        return lives

    follow(journal, experiment(), STEP, LEARNED, overtaken)
    below = children(parent().info.run_id)["step 1: sheep, cow"].info
    assert points(below.run_id, "loss") == losses(CURVES[1])
    assert points(below.run_id, "lr") == losses(CURVES[1], "lr")
    assert parent().info.status == "FINISHED"


def test_the_live_run_of_an_experiment_that_turns_out_otherwise_is_replaced_with_it(
    project: Path, journal: Path
) -> None:
    log_finished(finished(project))
    training = Training(journal, lambda: training.show(*DRAWN, DONE))
    training.follow()
    run_id = log_finished(finished(project, rows=(ROWS[0], ROWS[1] | {"all": 0.3})))
    assert [run.info.run_id for run in parents()] == [run_id]
    assert len(runs()) == 3


# ---- trouble --------------------------------------------------------------------------------------------------------


def test_a_store_that_fails_in_between_is_one_line(journal: Path) -> None:
    training = Training(
        journal,
        lambda: training.show(DRAWN[0]),
        lambda: client().delete_run(child().info.run_id),  # mlflow refuses points of a deleted run
        lambda: training.show(DRAWN[1]),
    )
    with pytest.raises(TrackingError, match="cannot be used") as caught:
        training.follow()
    assert "\n" not in str(caught.value)
