"""The report's entry in MLflow: complete where the store takes it, one warning where it does not."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.results import Results
from ssul.memory.exemplars import Exemplar, write_exemplars
from ssul.report.images import ShownExemplar
from ssul.report.page import run_description
from ssul.report.write import shown_exemplars
from ssul.tracking.runs import FinishedRun, digest_of, finished_run
from stages.report import track
from tests.tracking.examples import CURVES, children, files, losses, parents, points, runs

Summary = dict[str, Any]
Captured = pytest.CaptureFixture[str]


def finished_of(settings: Params, results: Results, summary: Summary) -> FinishedRun:
    return finished_run(settings, results.rows, results.training, summary, last=2, note="a note")


def assert_complete() -> None:
    """The store holds the run of the example, all of it, once."""
    (run,) = parents()
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "ssul shapes 6-2 overlapped small"
    assert run.data.params["recipe.increment.lr"] == "0.1"
    assert run.data.tags["hardware"] == "CPU, 1 thread"
    assert points(run.info.run_id, "miou_all") == [(0, 0.5), (1, 0.5)]
    assert points(run.info.run_id, "miou_new") == [(1, 0.25)]
    below = children(run.info.run_id)
    assert list(below) == ["step 0: cat", "step 1: sheep, cow"]
    assert [points(child.info.run_id, "loss") for child in below.values()] == [losses(curve) for curve in CURVES]
    assert files(run.info.run_id) == {
        "metrics.json",
        "miou_per_step.json",
        "class_iou.json",
        "index.md",
        "figures/curve.png",
        "checkpoint/model.json",
    }
    assert len(run.inputs.dataset_inputs) == 1
    assert len(runs()) == 3


@pytest.mark.usefixtures("workplace")
def test_a_run_is_logged_and_the_way_to_it_is_told(
    settings: Params, results: Results, summary: Summary, capsys: Captured
) -> None:
    for _ in range(2):
        track(settings, results, summary, 2)
        told = capsys.readouterr()
        assert told.err == ""
        assert told.out == "MLflow: make ui\n"
        assert_complete()


@pytest.mark.usefixtures("workplace")
def test_a_dead_server_costs_one_warning_and_the_stage_logs_the_run_when_it_runs_again(
    settings: Params, results: Results, summary: Summary, capsys: Captured
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
        began = time.monotonic()
        track(settings, results, summary, 2)
        assert time.monotonic() - began < 20
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("warning: ")
    assert "http://127.0.0.1:9" in output.err
    assert "`dvc repro --force --single-item report`" in output.err
    assert "secret" not in output.err
    assert runs() == []
    track(settings, results, summary, 2)
    assert_complete()


@pytest.mark.usefixtures("workplace")
def test_with_tracking_off_nothing_is_logged(
    settings: Params, results: Results, summary: Summary, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSUL_TRACKING", "off")
    track(settings, results, summary, 2)
    assert capsys.readouterr() == ("", "")
    assert runs() == []


@pytest.mark.usefixtures("workplace")
def test_a_mistyped_switch_costs_one_warning_that_names_it_and_the_way_to_log_later(
    settings: Params, results: Results, summary: Summary, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSUL_TRACKING", "of")
    track(settings, results, summary, 2)
    error = capsys.readouterr().err
    assert "SSUL_TRACKING is 'of'" in error
    assert "dvc repro --force --single-item report" in error
    assert error.count("\n") == 1


# ---- what is told of a run ------------------------------------------------------------------------------------------


def test_the_description_shows_the_table_and_how_to_open_the_network(results: Results) -> None:
    note = run_description("ssul shapes 6-2", results)
    assert note.startswith("**ssul shapes 6-2**")
    assert "150 validation images" in note
    assert "| 1 |" in note
    assert "mlflow artifacts download -r RUN_ID -a checkpoint" in note
    assert "TrainedModel.load" in note


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("machines", "told"),
    [(["A", "A"], "A"), (["A", "B"], "A; B"), ([], None)],
    ids=["one machine", "two machines", "nothing was trained"],
)
def test_the_hardware_is_told_once_each(
    settings: Params, results: Results, summary: Summary, machines: list[str], told: str | None
) -> None:
    curves = tuple(CURVES[0] | {"hardware": machine} for machine in machines)
    finished = finished_of(settings, replace(results, training=curves), summary)
    assert finished.experiment.tags.get("hardware") == told


@pytest.mark.usefixtures("workplace")
def test_the_data_is_told_with_the_images_and_classes_of_each_step(
    settings: Params, results: Results, summary: Summary
) -> None:
    data = finished_of(settings, results, summary).data
    assert (data.name, data.source) == ("shapes", "drawn by the pipeline")
    assert [data.profile[f"step {step}"]["images"] for step in (0, 1)] == [7, 2]
    assert len(data.profile["step 1"]["classes"]) == 2
    assert json.dumps(data.profile)
    elsewhere = settings.model_copy(update={"data": settings.data.model_copy(update={"root": "/data/voc"})})
    assert finished_of(elsewhere, results, summary).data.source == "/data/voc"


def test_the_datas_digest_differs_when_a_file_does(workplace: Layout) -> None:
    train, val = workplace.index("train"), workplace.index("val")
    seen = {digest_of(train, val), digest_of(val, train), digest_of(train, val)}
    val.write_text("other")
    seen.add(digest_of(train, val))
    assert len(seen) == 3
    assert all(len(digest) == 16 for digest in seen)


def test_exemplars_whose_images_are_missing_are_counted_and_not_shown(workplace: Layout) -> None:
    write_exemplars(workplace.memory(2), [Exemplar("train_00000", (0,), (1, 3)), Exemplar("train_00001", (1,), (2,))])
    assert shown_exemplars(workplace, None, 2) == ([], 2)
    path = workplace.drawn / "JPEGImages" / "train_00000.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"an image")
    shapes = find_dataset("shapes").classes
    assert shown_exemplars(workplace, None, 2) == ([ShownExemplar(path, (shapes[0], shapes[2]))], 1)
