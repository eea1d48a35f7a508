"""A finished experiment in MLflow: once, completely, and without passwords."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssul.environment import project_root
from ssul.tracking.runs import child_name, log_finished
from ssul.tracking.store import open_store
from tests.tracking.examples import (
    CURVES,
    PROJECT,
    ROWS,
    children,
    client,
    curve,
    empty_store,
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


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run that was logged once, to look at."""
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
    assert points(run.info.run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert points(run.info.run_id, "miou_new") == [(1, 0.25)]
    assert points(run.info.run_id, "iou/cat") == [(1, 0.0)]
    assert run.data.metrics["miou_all"] == 0.25  # the last step's


def test_a_run_keeps_the_reports_and_the_checkpoint_in_the_main_folder(logged: str) -> None:
    kept = {"index.md", "figures/curve.png", "checkpoint/model.json", "checkpoint/head_0.safetensors"}
    assert files(logged) == kept
    assert client().get_run(logged).info.artifact_uri.startswith((project_root().resolve() / "mlruns").as_uri())
    head = client().download_artifacts(logged, "checkpoint/head_0.safetensors")
    assert Path(head).read_bytes() == bytes(range(256))


def test_a_run_shows_a_description_however_long(project: Path) -> None:
    one = finished(project, curves=())
    for note in ("**what** it is", "x" * 20_000):
        tags = one.experiment.tags | {"mlflow.note.content": note}
        run_id = log_finished(replace(one, experiment=replace(one.experiment, tags=tags)))
        assert note.startswith(client().get_run(run_id).data.tags["mlflow.note.content"])
        assert len(client().get_run(run_id).data.tags["mlflow.note.content"]) >= min(len(note), 5000)


def test_a_run_names_the_data_that_it_learned_from(logged: str) -> None:
    (given,) = client().get_run(logged).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("voc", "0123456789abcdef")
    assert json.loads(given.dataset.source) == {"uri": "/data/voc"}
    assert json.loads(given.dataset.profile) == {"setting": "overlapped", "training images": 9}
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training"}


def test_each_step_that_was_trained_is_a_finished_run_below_it_with_its_curve(logged: str) -> None:
    below = children(logged)
    assert list(below) == ["step 0: cat", "step 1: sheep, cow"]
    for run, drawn in zip(below.values(), CURVES, strict=True):
        assert run.info.status == "FINISHED"
        assert points(run.info.run_id, "loss") == losses(drawn)
        assert points(run.info.run_id, "lr") == losses(drawn, "lr")


def test_a_run_whose_base_was_not_trained_has_no_curve_of_it(project: Path) -> None:
    assert list(children(log_finished(finished(project, curves=CURVES[1:])))) == ["step 1: sheep, cow"]


def test_a_step_of_many_classes_is_named_in_short() -> None:
    assert child_name(2, ["sheep"]) == "step 2: sheep"
    assert child_name(0, [f"class {number}" for number in range(100)]) == "step 0: class 0, … (100 classes)"


# ---- again ----------------------------------------------------------------------------------------------------------


def test_logging_twice_leaves_what_logging_once_does(project: Path) -> None:
    run_id = log_finished(finished(project))
    once = everything()
    assert len(once) == 3
    assert log_finished(finished(project)) == run_id
    assert everything() == once


def test_another_experiment_is_another_run(project: Path) -> None:
    assert log_finished(finished(project, "one")) != log_finished(finished(project, "two"))
    assert len(parents()) == 2
    assert len(runs()) == 6


def test_missing_steps_are_added(project: Path) -> None:
    run_id = log_finished(finished(project, rows=ROWS[:1], curves=CURVES[:1]))
    assert log_finished(finished(project)) == run_id
    assert points(run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert list(children(run_id)) == ["step 0: cat", "step 1: sheep, cow"]


def test_the_rest_of_a_curve_is_added(project: Path) -> None:
    half = CURVES[1] | {"points": CURVES[1]["points"][:1]}
    run_id = log_finished(finished(project, curves=(half,)))
    assert log_finished(finished(project)) == run_id
    below = children(run_id)
    assert [points(run.info.run_id, "loss") for run in below.values()] == [losses(one) for one in CURVES]


def test_the_rest_of_the_files_is_added(project: Path) -> None:
    whole = finished(project, curves=())
    run_id = log_finished(replace(whole, artifacts={"index.md": whole.artifacts["index.md"]}))
    assert files(run_id) == {"index.md"}
    log_finished(whole)
    assert {"figures/curve.png", "checkpoint/model.json"} <= files(run_id)


def test_a_parameter_stays_as_it_was_logged_first_and_a_new_one_is_added(project: Path) -> None:
    run_id = log_finished(finished(project, curves=()))
    assert log_finished(finished(project, curves=(), data__root="/moved", new=1)) == run_id
    params = client().get_run(run_id).data.params
    assert params["data.root"] == "None"
    assert params["new"] == "1"


def test_data_that_has_moved_is_named_once_where_it_lay_first(project: Path) -> None:
    one = finished(project, curves=())
    run_id = log_finished(one)
    log_finished(replace(one, data=replace(one.data, source="/moved")))
    (given,) = client().get_run(run_id).inputs.dataset_inputs
    assert json.loads(given.dataset.source) == {"uri": "/data/voc"}


def test_a_run_with_other_numbers_is_replaced_by_a_new_one(project: Path) -> None:
    old = log_finished(finished(project))
    old_children = children(old)
    other = (ROWS[0], ROWS[1] | {"all": 0.3})
    new = log_finished(finished(project, rows=other))
    assert new != old
    assert [run.info.run_id for run in parents()] == [new]
    assert points(new, "miou_all") == [(0, 0.5), (1, 0.3)]
    assert parent().info.status == "FINISHED"
    assert list(children(new)) == list(old_children)
    assert files(new) == files(old)
    binned = {run.info.run_id for run in runs(deleted=True)}
    assert binned == {old} | {run.info.run_id for run in old_children.values()}
    assert log_finished(finished(project, rows=other)) == new
    assert len(runs()) == 3


@pytest.mark.parametrize(("iou", "replaced"), [(0.0000010, True), (0.0000004, False)])
def test_a_number_is_another_one_where_its_six_digits_are_others(project: Path, iou: float, replaced: bool) -> None:
    old = log_finished(finished(project, curves=()))
    ious = {"background": 0.8, "cat": iou}
    new = log_finished(finished(project, rows=(ROWS[0], ROWS[1] | {"iou": ious}), curves=()))
    assert (new != old) is replaced
    assert points(new, "iou/cat") == [(1, 0.000001 if replaced else 0.0)]


def test_another_experiment_keeps_its_run_where_one_is_replaced(project: Path) -> None:
    other = log_finished(finished(project, "other"))
    log_finished(finished(project, curves=()))
    log_finished(finished(project, rows=(ROWS[0], ROWS[1] | {"all": 0.3}), curves=()))
    assert parent("other").info.run_id == other
    assert len(children(other)) == 2
    assert len(parents()) == 2


def test_a_curve_that_another_machine_began_is_replaced(project: Path) -> None:
    began = curve(1, ["sheep", "cow"], [0.7500001])
    run_id = log_finished(finished(project, curves=(CURVES[0], began)))
    first = children(run_id)
    assert log_finished(finished(project)) == run_id
    below = children(run_id)
    assert [points(run.info.run_id, "loss") for run in below.values()] == [losses(one) for one in CURVES]
    assert below["step 0: cat"].info.run_id == first["step 0: cat"].info.run_id
    assert {run.info.run_id for run in runs(deleted=True)} == {first["step 1: sheep, cow"].info.run_id}


# ---- what MLflow's limits do not stop -------------------------------------------------------------------------------


def test_more_points_and_parameters_than_mlflow_takes_at_once_are_logged(project: Path) -> None:
    iou = {f"class {number}": number / 2000 for number in range(1200)}
    params = {f"many.p{number}": number for number in range(250)} | {"long": "y" * 9000}
    rows = ({**ROWS[1], "iou": iou},)
    run = client().get_run(log_finished(finished(project, rows=rows, curves=(), **params)))
    assert {key: value for key, value in run.data.metrics.items() if key.startswith("iou/")} == {
        f"iou/{name}": value for name, value in iou.items()
    }
    assert len(run.data.params) == 253
    assert run.data.params["long"] == "y" * 6000


# ---- passwords ------------------------------------------------------------------------------------------------------


def test_no_password_is_logged(project: Path) -> None:
    mirror = f"https://me:{SECRET}@mirror.example/sets"
    one = finished(project, data__mirror=mirror, described=json.dumps([mirror]))
    run_id = log_finished(replace(one, data=replace(one.data, source=mirror)))
    assert client().get_run(run_id).data.params["data.mirror"] == "https://mirror.example/sets"
    assert SECRET not in str(everything())
    assert SECRET.encode() not in (project / "mlflow.db").read_bytes()


# ---- several processes at once --------------------------------------------------------------------------------------

LOG = """
import sys, time
from pathlib import Path
from ssul.tracking.runs import log_finished
from tests.tracking.examples import finished
one = finished(Path(sys.argv[2]), sys.argv[1])
Path(sys.argv[2], "ready").touch()
while not Path(sys.argv[3]).exists():
    time.sleep(0.01)
print(log_finished(one))
"""


def log_at_once(root: Path, fingerprints: list[str]) -> list[str]:
    """Logs an experiment from a process of its own each, all begun at the same moment; the ids of the runs."""
    places = [root / f"process {number}" for number in range(len(fingerprints))]
    for place in places:
        place.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOG, fingerprint, str(place), str(root / "go")],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fingerprint, place in zip(fingerprints, places, strict=True)
    ]
    while not all((place / "ready").exists() for place in places):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    (root / "go").touch()
    told = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), told
    return [out.strip() for out, _ in told]


def whole(run: Any) -> bool:
    """Whether a run holds everything of the example, once."""
    below = children(run.info.run_id)
    return (
        run.info.status == "FINISHED"
        and points(run.info.run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
        and [points(child.info.run_id, "loss") for child in below.values()] == [losses(one) for one in CURVES]
        and len(run.inputs.dataset_inputs) == 1
        and len(files(run.info.run_id)) == 4
    )


@pytest.mark.slow
def test_four_processes_at_once_on_a_fresh_store_leave_four_whole_runs(project: Path, tmp_path: Path) -> None:
    (project / "mlflow.db").unlink()  # so that they also make the store at once
    names = ["one", "two", "three", "four"]
    ids = log_at_once(tmp_path, names)
    assert {run.info.run_id for run in parents()} == set(ids)
    assert len(set(ids)) == 4
    assert all(whole(parent(name)) for name in names)
    assert len(runs()) == 12


@pytest.mark.slow
def test_two_processes_that_log_the_same_experiment_at_once_leave_one_whole_run(project: Path, tmp_path: Path) -> None:
    empty_store(project / "mlflow.db")
    ids = log_at_once(tmp_path, ["same", "same"])
    assert len(set(ids)) == 1
    assert whole(parent("same"))
    assert len(runs()) == 3


@pytest.mark.usefixtures("project")
def test_an_experiment_whose_run_was_made_but_not_filled_is_completed(tmp_path: Path) -> None:
    with open_store() as store:
        begun = store.find_or_create("one", "name")
    assert log_finished(finished(tmp_path)) == begun
    assert whole(parent())
