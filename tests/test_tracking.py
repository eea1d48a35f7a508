"""What a run leaves in MLflow: once, completely, and never in the way."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssul import config, tracking
from ssul.evaluation.results import Results
from ssul.evaluation.scores import Scores
from ssul.report.page import Subject
from ssul.tracking import TrackingError, fingerprint, flatten, log_experiment, metric_names, metric_points

PARAMS = {"seed": 0, "data.root": None, "method.name": "ssul"}
SCORES = [field.name for field in fields(Scores) if field.type == float | None]
ROWS: list[dict[str, Any]] = [
    {"step": 0, "iou": {"background": 0.9, "cat": None}, "holdout": None} | dict.fromkeys(SCORES, 0.5) | {"new": None},
    {"step": 1, "iou": {"background": 0.8, "cat": 0.0}, "holdout": None} | dict.fromkeys(SCORES, 0.25),
]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "train.json"):
        Path(name).write_text(name)
    return Path()


def of(params: dict[str, Any], code: list[str]) -> str:
    return fingerprint(params, map(Path, code), [Path("train.json")])


def test_the_fingerprint_depends_on_no_order(files: Path) -> None:
    reordered = dict(reversed(PARAMS.items()))
    assert of(PARAMS, ["a.py", "b.py"]) == of(reordered, ["b.py", "a.py"])


@pytest.mark.parametrize(
    "where",
    [
        {"data.root": "/somewhere"},
        {"data.download": True},
        {"data.mirror": "https://mirror.example"},
        {"data.on_error": "skip"},  # what it leaves out, the index leaves out
    ],
)
def test_the_fingerprint_does_not_ask_where_the_data_lies_and_how_it_came_there(
    files: Path, where: dict[str, Any]
) -> None:
    usual = PARAMS | {"data.download": False, "data.mirror": None, "data.on_error": "refuse"}
    assert of(usual, ["a.py"]) == of(usual | where, ["a.py"])


def test_the_fingerprint_changes_with_a_parameter_code_a_files_name_and_the_index(files: Path) -> None:
    seen = {of(PARAMS, ["a.py"]), of(PARAMS | {"seed": 1}, ["a.py"]), of(PARAMS, ["a.py", "b.py"])}
    Path("a.py").rename("c.py")
    seen.add(of(PARAMS, ["c.py"]))
    Path("c.py").write_text("other")
    seen.add(of(PARAMS, ["c.py"]))
    Path("train.json").write_text("other")
    seen.add(of(PARAMS, ["c.py"]))
    assert len(seen) == 6


def test_nested_parameters_become_dotted_names_and_lists_text() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": 1, "a.d": "[1, 2]", "e": None}


def test_undefined_numbers_are_no_points() -> None:
    points = metric_points(ROWS)
    assert ("miou_new", 1, 0.25) in points
    assert ("iou/cat", 1, 0.0) in points
    assert not {("miou_new", 0), ("iou/cat", 0)} & {(key, step) for key, step, _ in points}


def test_every_score_and_those_of_held_out_images_are_points() -> None:
    held_out = {"images": 9, "old": 0.5, "new": None, "all": 0.75}
    keys = {key for key, _, _ in metric_points(ROWS)}
    with_holdout = {(key, value) for key, _, value in metric_points([ROWS[1] | {"holdout": held_out}])}
    assert len(keys) == len(SCORES) + 2  # and a class and the background
    assert {key for key, _ in with_holdout} - keys == {"holdout_miou_old", "holdout_miou_all"}
    assert ("holdout_miou_all", 0.75) in with_holdout


def test_class_names_become_metrics_that_mlflow_takes_and_stay_apart() -> None:
    names = metric_names(["cat", "a/b", "a_b", "..", "$x&y", "x" * 400])
    assert len(set(names.values())) == 6
    assert names["cat"] == "iou/cat"
    assert all(re.fullmatch(r"iou/[\w\-. ]+", name) and len(name) <= 250 for name in names.values())


@pytest.mark.parametrize(("value", "on"), [("off", False), ("OFF", False), ("on", True), ("", True)])
def test_the_environment_switches_it_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("SSUL_TRACKING", value)
    assert tracking.is_on() is on


def test_a_mistyped_switch_is_named_with_what_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_TRACKING", "of")
    with pytest.raises(TrackingError, match="'of': choose on or off"):
        tracking.is_on()


def test_runs_of_dvcs_temporary_folders_go_to_the_main_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert tracking.store_uri() == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert tracking.how_to_open() == "mlflow ui --backend-store-uri sqlite:///mlflow.db"


def test_the_way_to_another_store_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@example.org")
    assert tracking.how_to_open() == "https://example.org"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////tmp/other.db")
    assert tracking.how_to_open() == "mlflow ui --backend-store-uri sqlite:////tmp/other.db"


def test_mlflow_is_imported_only_when_something_is_logged() -> None:
    code = "import sys, stages.report; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- a real store ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("project with a space")
        patch.setenv("DVC_ROOT", str(root))
        patch.setenv("DVC_EXP_NAME", "brave-newt")
        patch.setenv("DVC_EXP_BASELINE_REV", "abc123")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        (root / "figures").mkdir()
        (root / "figures" / "curve.png").write_bytes(b"png")
        (root / "index.md").write_text("page")
        yield root


def log(project: Path, *, of: str, rows: list[dict[str, Any]] = ROWS, params: dict[str, Any] = PARAMS) -> str:
    return log_experiment(
        fingerprint=of,
        name="ssul voc_15-1",
        tags={"scenario": "voc_15-1"},
        params=params,
        rows=rows,
        artifacts=[project / "figures", project / "index.md"],
    )


def client() -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking.store_uri())


def points(run_id: str, key: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client().get_metric_history(run_id, key))


def test_a_run_holds_its_scores_parameters_tags_and_reports(project: Path) -> None:
    run = client().get_run(log(project, of="one"))
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0", "data.root": "None", "method.name": "ssul"}
    assert points(run.info.run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert points(run.info.run_id, "iou/cat") == [(1, 0.0)]
    expected = {
        "scenario": "voc_15-1",
        "mlflow.runName": "ssul voc_15-1",
        "dvc.experiment": "brave-newt",
        "mlflow.source.git.commit": "abc123",
        "ssul.fingerprint": "one",
    }
    assert expected.items() <= run.data.tags.items()
    assert {item.path for item in client().list_artifacts(run.info.run_id)} == {"figures", "index.md"}
    assert run.info.artifact_uri.startswith((project.resolve() / "mlruns").as_uri())


def test_the_same_experiment_again_adds_nothing_and_what_is_missing_is_added(project: Path) -> None:
    run_id = log(project, of="two", rows=ROWS[:1])
    assert log(project, of="two", params=PARAMS | {"data.root": "/moved", "new": 1}) == run_id
    assert log(project, of="two") == run_id
    assert points(run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert client().get_run(run_id).data.params["data.root"] == "None"
    assert client().get_run(run_id).data.params["new"] == "1"


def test_no_password_of_a_parameter_is_logged(project: Path) -> None:
    run_id = log(project, of="five", params={"data.mirror": "https://me:secret@mirror.example/sets"})
    assert client().get_run(run_id).data.params == {"data.mirror": "https://mirror.example/sets"}


def test_another_experiment_is_another_run(project: Path) -> None:
    assert log(project, of="three") != log(project, of="four")


def test_a_server_that_does_not_answer_is_one_line_within_seconds(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(TrackingError, match="cannot be used") as caught:
        log(project, of="one")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_store_that_cannot_be_opened_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/figures")
    with pytest.raises(TrackingError, match="unable to open database file"):
        log(project, of="one")


def test_a_missing_mlflow_is_named_with_the_way_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(TrackingError, match=r"install ssul\[pipeline\].*SSUL_TRACKING=off"):
        log(project, of="one")


def test_the_report_succeeds_with_a_warning_where_tracking_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from stages.report import track

    settings = config.parse(yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8")))
    results = Results(
        data_set="shapes",
        has_background=True,
        names=("background", "cat"),
        group_sizes=(1,),
        images=4,
        rows=tuple(ROWS[:1]),
        confusion=((1, 0), (0, 1)),
    )

    def refuse(**_: Any) -> str:
        raise TrackingError("no store today")

    monkeypatch.setattr(tracking, "log_experiment", refuse)
    monkeypatch.setattr(tracking, "fingerprint", lambda *_: "f")
    monkeypatch.delenv("SSUL_TRACKING", raising=False)
    track(settings, Subject.of(settings), results)
    warning = capsys.readouterr().err
    assert warning.startswith("warning: this run is not in MLflow: no store today. Log it later with `dvc repro")
    assert warning.count("\n") == 1
