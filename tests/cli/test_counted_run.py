"""The counts of a run in MLflow are read with what its last step scored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssul.cli.counted_run import counted_run
from ssul.evaluation.image_counts import write_counts
from ssul.tracking.collect import finished_runs
from ssul.tracking.experiment import Experiment
from ssul.tracking.finished import DatasetRecord, FinishedRun
from ssul.tracking.runs import log_finished
from tests.tracking.examples import SCORES


@pytest.mark.parametrize(("checkpoint", "known"), [(None, False), ("data/known", True)])
@pytest.mark.parametrize(("last", "background"), [({"background": 0.5, "cat": 0.5}, True), ({"cat": 0.5}, False)])
def test_a_background_that_earlier_steps_alone_score_is_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: dict[str, float],
    background: bool,
    checkpoint: str | None,
    known: bool,
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    rows: Any = [
        {"step": step, "iou": iou, "holdout": None} | dict.fromkeys(SCORES, 0.5)
        for step, iou in enumerate(({"background": 0.5}, last))
    ]
    write_counts(tmp_path, {"a": [(0, 1, 1, 1)]})
    params = {"scenario.base_classes": 1, "recipe.base.checkpoint": checkpoint}
    tags = dict.fromkeys(("scenario", "setting", "method", "model"), "some")
    experiment = Experiment(fingerprint="f", name="a run", tags=tags, params=params)
    artifacts = {"image_counts.json": tmp_path / "image_counts.json"}
    log_finished(FinishedRun(experiment, tuple(rows), (), DatasetRecord("ade", "0123", "somewhere", {}), artifacts))
    (run,) = finished_runs()
    assert counted_run(run) == replace(counted_run(run), background=background, known=known, base_classes=1)
