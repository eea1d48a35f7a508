"""The report's run in MLflow: complete if the store can be reached, one warning if not."""

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
from ssul.report.memory import ShownExemplar, shown_exemplars
from ssul.tracking.finished import FinishedRun, digest_of, finished_run
from stages.report import track
from tests.tracking.examples import CURVES, child_losses, children, files, losses, parents, points, runs

Summary = dict[str, Any]
Captured = pytest.CaptureFixture[str]
LATER = "`dvc repro --force --single-item report`"


def finished_of(settings: Params, results: Results, summary: Summary) -> FinishedRun:
    return finished_run(settings, results.rows, results.training, summary, last=2, note="a note")


def assert_complete() -> None:
    """The store holds the whole run of the example, once."""
    (run,) = parents()
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "ssul shapes 6-2 overlapped small"
    assert run.data.params["recipe.increment.lr"] == "0.2"
    assert run.data.tags["hardware"] == "CPU, 1 thread"
    assert points(run.info.run_id, "miou_all") == [(0, 0.5), (1, 0.5)]
    assert points(run.info.run_id, "miou_new") == [(1, 0.25)]
    assert list(children(run.info.run_id)) == ["step 0: cat", "step 1: sheep, cow"]
    assert child_losses(run.info.run_id) == [losses(curve) for curve in CURVES]
    reports = {
        "metrics.json",
        "miou_per_step.json",
        "class_iou.json",
        "index.md",
        "index.html",
        "figures/curve.png",
        "image_counts.json",
        "confusion.json",
    }
    served = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "served_model.py", "look.json"}
    served |= {"input_example.json", "serving_input_example.json"}
    assert files(run.info.run_id) == {*reports, *(f"checkpoint/{name}" for name in ("model.json", *served))}
    assert len(run.inputs.dataset_inputs) == 2  # training and validation images
    assert len(runs()) == 3


@pytest.mark.usefixtures("workplace")
def test_a_run_is_logged_once_and_the_command_that_opens_it_is_printed(
    settings: Params, results: Results, summary: Summary, capsys: Captured
) -> None:
    for _ in range(2):
        track(settings, results, summary, 2)
        assert capsys.readouterr() == ("MLflow: make ui\n", "")
        assert_complete()


@pytest.mark.usefixtures("workplace")
def test_a_dead_server_costs_one_warning_and_the_stage_logs_the_run_when_it_runs_again(
    settings: Params, results: Results, summary: Summary, capsys: Captured
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
        start = time.monotonic()
        track(settings, results, summary, 2)
        assert time.monotonic() - start < 20
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith("warning: ")
    assert error.count("\n") == 1
    assert "http://127.0.0.1:9" in error
    assert LATER in error
    assert "secret" not in error
    assert runs() == []
    track(settings, results, summary, 2)
    assert_complete()


@pytest.mark.usefixtures("workplace")
def test_with_tracking_off_nothing_is_logged_and_an_invalid_switch_costs_one_warning(
    settings: Params, results: Results, summary: Summary, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSUL_TRACKING", "off")
    track(settings, results, summary, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("SSUL_TRACKING", "of")
    track(settings, results, summary, 2)
    error = capsys.readouterr().err
    assert "SSUL_TRACKING is 'of'" in error
    assert LATER in error
    assert error.count("\n") == 1
    assert runs() == []


# ---- what is logged -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(("machines", "tag"), [(["A", "A"], "A"), (["A", "B"], "A; B"), ([], None)], ids=str)
def test_each_machine_is_named_once(
    settings: Params, results: Results, summary: Summary, machines: list[str], tag: str | None
) -> None:
    curves = tuple(CURVES[0] | {"hardware": machine} for machine in machines)
    finished = finished_of(settings, replace(results, training=curves), summary)
    assert finished.experiment.tags.get("hardware") == tag


@pytest.mark.usefixtures("workplace")
def test_the_dataset_is_logged_with_the_images_and_classes_of_each_step(
    settings: Params, results: Results, summary: Summary
) -> None:
    data = finished_of(settings, results, summary).data
    assert (data.name, data.source) == ("shapes", "drawn by the pipeline")
    assert [data.profile[f"step {step}"]["images"] for step in (0, 1)] == [7, 2]
    assert len(data.profile["step 1"]["classes"]) == 2
    assert json.dumps(data.profile)
    elsewhere = settings.model_copy(update={"data": settings.data.model_copy(update={"root": "/data/voc"})})
    assert finished_of(elsewhere, results, summary).data.source == "/data/voc"


def test_the_digest_of_the_data_changes_with_a_file(workplace: Layout) -> None:
    train, val = workplace.index("train"), workplace.index("val")
    seen = {digest_of(train, val), digest_of(val, train), digest_of(train, val)}
    val.write_text("other")
    seen.add(digest_of(train, val))
    assert len(seen) == 3
    assert all(len(digest) == 16 for digest in seen)


def test_exemplars_without_an_image_file_are_counted_and_not_shown(workplace: Layout) -> None:
    write_exemplars(workplace.memory(2), [Exemplar("train_00000", (0,), (1, 3)), Exemplar("train_00001", (1,), (2,))])
    assert shown_exemplars(workplace, None, 2) == ([], 2)
    path = workplace.drawn / "JPEGImages" / "train_00000.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"an image")
    shapes = find_dataset("shapes").classes
    assert shown_exemplars(workplace, None, 2) == ([ShownExemplar(path, (shapes[0], shapes[2]))], 1)
