"""A run over HTTP: a real `mlflow server` on this machine, which also keeps artifacts, dies and comes back."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssul.model.checkpoint import load_checkpoint, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.tracking.collect import finished_runs
from ssul.tracking.runs import log_finished
from ssul.tracking.store import TrackingError, how_to_open
from tests.tracking.examples import CURVES, child_losses, client, everything, files, finished, losses, points, runs
from tests.tracking.server import Server, free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def server(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    one = Server(tmp_path / "server", free_port(), f"sqlite:///{tmp_path}/server/server.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", one.uri)
    try:
        one.start()
        yield one
    finally:
        one.kill()


def test_a_run_over_http_is_whole_and_survives_the_servers_death(server: Server, project: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 2))
    meaning = {"class_names": ["cat", "Ähre"]}
    one = finished(project, data__mirror="https://me:s3cret@mirror.example")
    save_checkpoint(one.artifacts["checkpoint"], model, meaning, CURVES[1])

    class Deadly(dict[str, Path]):
        """Artifacts at which the server dies."""

        def items(self):  # type: ignore[no-untyped-def]
            server.kill()
            return super().items()

    with pytest.raises(TrackingError, match="cannot be used"):
        log_finished(replace(one, artifacts=Deadly(one.artifacts)))
    with pytest.raises(TrackingError, match=f"{server.uri} cannot be used") as caught:
        finished_runs()
    assert "\n" not in str(caught.value)
    server.start()
    assert finished_runs() == []

    run_id = log_finished(one)
    once = everything()
    assert log_finished(one) == run_id
    assert everything() == once
    assert len(runs()) == 3  # the unfinished run was completed
    assert points(run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert child_losses(run_id) == [losses(curve) for curve in CURVES]
    assert "s3cret" not in str(once)
    assert how_to_open() == server.uri
    assert [run.id for run in finished_runs()] == [run_id]

    # the artifacts went through the server to its folder, and come back by the documented command
    assert client().get_run(run_id).info.artifact_uri.startswith("mlflow-artifacts:")
    assert {"index.md", "figures/curve.png", "checkpoint/training.json"} <= files(run_id)
    assert list((server.folder / "artifacts").rglob("backbone.safetensors"))
    assert not list(project.rglob("mlruns/*"))
    words = ["artifacts", "download", "-r", run_id, "-a", "checkpoint", "-d", str(tmp_path / "fetched")]
    subprocess.run([sys.executable, "-m", "mlflow", *words], check=True, capture_output=True)
    fetched = tmp_path / "fetched" / "checkpoint"
    given = {path.name: path.read_bytes() for path in one.artifacts["checkpoint"].iterdir()}
    assert {path.name: path.read_bytes() for path in fetched.iterdir()} == given
    opened, read = load_checkpoint(fetched)
    assert read == meaning
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in opened.state_dict().items())
