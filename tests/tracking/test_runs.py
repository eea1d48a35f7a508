"""A finished experiment in MLflow: once, completely, and without passwords."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from ssul.environment import project_root
from ssul.tracking.runs import child_name, log_finished
from ssul.tracking.store import Store, open_store
from tests.tracking.at_once import assert_whole, log_at_once
from tests.tracking.examples import (
    CURVES,
    ROWS,
    child_losses,
    children,
    client,
    curve,
    everything,
    files,
    finished,
    losses,
    own_project,
    parent,
    parents,
    points,
    runs,
)

SECRET = "s3cret-word"
NAMES = ["step 0: cat", "step 1: sheep, cow"]
OTHER_ROWS = (ROWS[0], ROWS[1] | {"all": 0.3})


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run that was logged once, only for reading."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("logged")
        own_project(root, patch)
        yield log_finished(finished(root))


def test_a_run_holds_its_scores_parameters_tags_and_name(logged: str) -> None:
    run = client().get_run(logged)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "ssul voc 15-1"
    assert run.data.params == {"seed": "0", "data.root": "None"}
    assert run.data.tags["scenario"] == "voc_15-1"
    assert points(logged, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert points(logged, "miou_new") == [(1, 0.25)]
    assert points(logged, "per_class_iou/cat") == [(1, 0.0)]
    assert run.data.metrics["miou_all"] == 0.25  # of the last step


def test_a_run_keeps_the_reports_and_the_checkpoint_in_the_main_folder(logged: str) -> None:
    kept = {"index.md", "figures/curve.png", "checkpoint/model.json", "checkpoint/head_0.safetensors"}
    assert files(logged) == kept
    assert client().get_run(logged).info.artifact_uri.startswith((project_root().resolve() / "mlruns").as_uri())
    head = client().download_artifacts(logged, "checkpoint/head_0.safetensors")
    assert Path(head).read_bytes() == bytes(range(256))


def test_a_run_names_its_training_data(logged: str) -> None:
    (given,) = client().get_run(logged).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("voc", "0123456789abcdef")
    assert json.loads(given.dataset.source) == {"uri": "/data/voc"}
    assert json.loads(given.dataset.profile) == {"setting": "overlapped", "training images": 9}
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training"}


def test_each_trained_step_is_a_finished_run_below_it_with_its_curve(logged: str) -> None:
    below = children(logged)
    assert list(below) == NAMES
    for run, drawn in zip(below.values(), CURVES, strict=True):
        assert run.info.status == "FINISHED"
        assert points(run.info.run_id, "loss") == losses(drawn)
        assert points(run.info.run_id, "lr") == losses(drawn, "lr")


def test_a_step_of_many_classes_has_a_short_name() -> None:
    assert child_name(2, ["sheep"]) == "step 2: sheep"
    assert child_name(0, [f"class {number}" for number in range(100)]) == "step 0: class 0, … (100 classes)"


# ---- logged again ---------------------------------------------------------------------------------------------------


def test_a_run_ends_under_the_lock_so_that_a_late_follower_sees_it_ended(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower of the last training asks for the run's status and writes another, both under the same lock."""
    ended: list[str] = []

    def watched(store: Store, run_id: str, seconds: float | None) -> None:
        with pytest.raises(Timeout), FileLock(project / "mlflow.db.lock", timeout=0):
            pass
        finish(store, run_id, seconds)
        ended.append(run_id)

    finish = Store.finish
    monkeypatch.setattr(Store, "finish", watched)
    run = log_finished(finished(project))
    assert ended[-1] == run


def test_logging_twice_leaves_what_logging_once_does(project: Path) -> None:
    run_id = log_finished(finished(project))
    once = everything()
    assert len(once) == 3
    assert log_finished(finished(project)) == run_id
    assert everything() == once


def test_missing_steps_points_and_files_are_added(project: Path) -> None:
    whole = finished(project)
    half = finished(project, rows=ROWS[:1], curves=(CURVES[1] | {"points": CURVES[1]["points"][:1]},))
    run_id = log_finished(replace(half, artifacts={"index.md": half.artifacts["index.md"]}))
    assert files(run_id) == {"index.md"}
    assert list(children(run_id)) == NAMES[1:]  # as if the base was not trained
    assert log_finished(whole) == run_id
    assert points(run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert list(children(run_id)) == NAMES
    assert child_losses(run_id) == [losses(one) for one in CURVES]
    assert {"figures/curve.png", "checkpoint/model.json"} <= files(run_id)


def test_parameters_and_the_place_of_the_data_stay_as_they_were_logged_first(project: Path) -> None:
    one = finished(project, curves=())
    run_id = log_finished(one)
    moved = finished(project, curves=(), data__root="/moved", new=1)
    assert log_finished(replace(moved, data=replace(one.data, source="/moved"))) == run_id
    run = client().get_run(run_id)
    assert (run.data.params["data.root"], run.data.params["new"]) == ("None", "1")
    (given,) = run.inputs.dataset_inputs
    assert json.loads(given.dataset.source) == {"uri": "/data/voc"}


def test_a_run_with_other_numbers_is_replaced_and_other_experiments_keep_theirs(project: Path) -> None:
    other = log_finished(finished(project, "other"))
    old = log_finished(finished(project))
    old_children = children(old)
    new = log_finished(finished(project, rows=OTHER_ROWS))
    assert len({other, old, new}) == 3
    assert {run.info.run_id for run in parents()} == {other, new}
    assert points(new, "miou_all") == [(0, 0.5), (1, 0.3)]
    assert parent().info.status == "FINISHED"
    assert list(children(new)) == list(old_children)
    assert files(new) == files(old)
    binned = {run.info.run_id for run in runs(deleted=True)}
    assert binned == {old} | {run.info.run_id for run in old_children.values()}
    assert log_finished(finished(project, rows=OTHER_ROWS)) == new
    assert len(children(other)) == 2
    assert len(runs()) == 6


@pytest.mark.parametrize(("iou", "replaced"), [(0.0000010, True), (0.0000004, False)])
def test_numbers_are_compared_with_six_digits(project: Path, iou: float, replaced: bool) -> None:
    old = log_finished(finished(project, curves=()))
    ious = {"background": 0.8, "cat": iou}
    new = log_finished(finished(project, rows=(ROWS[0], ROWS[1] | {"iou": ious}), curves=()))
    assert (new != old) is replaced
    assert points(new, "per_class_iou/cat") == [(1, 0.000001 if replaced else 0.0)]


def test_a_curve_with_other_numbers_is_replaced_alone(project: Path) -> None:
    run_id = log_finished(finished(project, curves=(CURVES[0], curve(1, ["sheep", "cow"], [0.7500001]))))
    first = children(run_id)
    assert log_finished(finished(project)) == run_id
    assert child_losses(run_id) == [losses(one) for one in CURVES]
    assert children(run_id)[NAMES[0]].info.run_id == first[NAMES[0]].info.run_id
    assert {run.info.run_id for run in runs(deleted=True)} == {first[NAMES[1]].info.run_id}


@pytest.mark.usefixtures("project")
def test_a_run_that_was_made_but_not_filled_is_completed(tmp_path: Path) -> None:
    with open_store() as store:
        empty = store.find_or_create("one", "name")
    assert log_finished(finished(tmp_path)) == empty
    assert_whole(parent())


# ---- limits of MLflow, and passwords --------------------------------------------------------------------------------


def test_more_points_and_parameters_than_one_request_of_mlflow_holds_are_logged(project: Path) -> None:
    iou = {f"class {number}": number / 2000 for number in range(1200)}
    params = {f"many.p{number}": number for number in range(250)} | {"long": "y" * 9000}
    one = finished(project, rows=({**ROWS[1], "iou": iou},), curves=(), **params)
    one.experiment.tags["mlflow.note.content"] = "x" * 20_000
    run = client().get_run(log_finished(one))
    logged = {key: value for key, value in run.data.metrics.items() if key.startswith("per_class_iou/")}
    assert logged == {f"per_class_iou/{name}": value for name, value in iou.items()}
    assert len(run.data.params) == 253
    assert run.data.params["long"] == "y" * 6000
    assert len(run.data.tags["mlflow.note.content"]) >= 5000


def test_no_password_is_logged(project: Path) -> None:
    mirror = f"https://me:{SECRET}@mirror.example/sets"
    one = finished(project, data__mirror=mirror, described=json.dumps([mirror]))
    run_id = log_finished(replace(one, data=replace(one.data, source=mirror)))
    assert client().get_run(run_id).data.params["data.mirror"] == "https://mirror.example/sets"
    assert SECRET not in str(everything())
    assert SECRET.encode() not in (project / "mlflow.db").read_bytes()


# ---- several processes at once --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "fresh"),
    [(["one", "two", "three", "four"], True), (["same", "same"], False)],
    ids=["four experiments in a fresh store", "one experiment twice"],
)
def test_processes_that_log_at_once_leave_one_whole_run_an_experiment(
    project: Path, tmp_path: Path, names: list[str], fresh: bool
) -> None:
    if fresh:
        (project / "mlflow.db").unlink()  # the processes also make the store at once
    ids = set(log_at_once(tmp_path, names))
    assert {run.info.run_id for run in parents()} == ids
    assert len(ids) == len(set(names))
    for name in set(names):
        assert_whole(parent(name))
    assert len(runs()) == 3 * len(ids)
