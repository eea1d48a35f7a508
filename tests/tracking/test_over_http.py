"""A run over HTTP: a real `mlflow server` on this machine, which keeps artifacts too, lives, dies and comes back."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ssul.model.checkpoint import load_checkpoint, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.tracking.collect import finished_runs
from ssul.tracking.follow import follow
from ssul.tracking.runs import log_finished
from ssul.tracking.store import TrackingError, how_to_open
from tests.tracking.examples import (
    CURVES,
    ROWS,
    children,
    client,
    everything,
    experiment,
    files,
    finished,
    losses,
    parents,
    points,
    runs,
)

pytestmark = pytest.mark.slow


@dataclass
class Server:
    """An `mlflow server` over a folder; started, killed and started again at the same port."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = ["server", "--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--serve-artifacts"]
        words += ["--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"]
        words += ["--host", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *words],
                cwd=self.folder,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 180
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "log.txt").read_text()[-3000:]
            assert time.monotonic() < end
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own: it and its workers
            self.process.wait(timeout=60)
            self.process = None


@pytest.fixture
def server(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one = Server(tmp_path / "server", port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", one.uri)
    try:
        one.start()
        yield one
    finally:
        one.kill()


def download(run_id: str, folder: Path) -> Path:
    """Fetches the checkpoint of a run with MLflow's own command, as the documentation says."""
    words = ["artifacts", "download", "-r", run_id, "-a", "checkpoint", "-d", str(folder)]
    subprocess.run([sys.executable, "-m", "mlflow", *words], check=True, capture_output=True)
    return folder / "checkpoint"


def test_a_run_over_http_survives_the_servers_death(server: Server, project: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 2))
    whole = finished(project, data__mirror="https://me:s3cret@mirror.example")
    save_checkpoint(whole.artifacts["checkpoint"], model, {"class_names": ["cat", "Ähre"]}, CURVES[1])

    # logged, and completed by logging it again
    half = finished(project, rows=ROWS[:1], curves=CURVES[:1])
    save_checkpoint(half.artifacts["checkpoint"], model, {"class_names": ["cat", "Ähre"]}, CURVES[1])
    run_id = log_finished(half)
    assert log_finished(whole) == run_id
    once = everything()
    assert len(once) == 3
    assert log_finished(whole) == run_id
    assert everything() == once
    assert points(run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert [points(run.info.run_id, "loss") for run in children(run_id).values()] == [losses(one) for one in CURVES]
    assert "s3cret" not in str(once)
    assert how_to_open() == server.uri
    assert [run.id for run in finished_runs()] == [run_id]

    # the artifacts went through the server to its place, and come back
    assert client().get_run(run_id).info.artifact_uri.startswith("mlflow-artifacts:")
    assert {"index.md", "figures/curve.png", "checkpoint/training.json"} <= files(run_id)
    assert list((server.folder / "artifacts").rglob("backbone.safetensors"))
    assert not list(project.rglob("mlruns/*"))
    fetched = download(run_id, tmp_path / "fetched")
    given = {path.name: path.read_bytes() for path in whole.artifacts["checkpoint"].iterdir()}
    assert {path.name: path.read_bytes() for path in fetched.iterdir()} == given
    opened, meaning = load_checkpoint(fetched)
    assert meaning == {"class_names": ["cat", "Ähre"]}
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in opened.state_dict().items())

    # dead in between
    server.kill()
    other = finished(project, "other")
    began = time.monotonic()
    for call in (lambda: log_finished(other), finished_runs):
        with pytest.raises(TrackingError, match=f"{server.uri} cannot be used") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 60

    # and back
    server.start()
    assert everything() == once
    sent = log_finished(finished(project, "other"))
    assert len(parents()) == 2
    assert len(runs()) == 6
    assert (download(sent, tmp_path / "sent") / "head_0.safetensors").read_bytes() == bytes(range(256))


def test_a_server_that_dies_while_an_experiment_is_logged_leaves_one_that_can_be_completed(
    server: Server, project: Path
) -> None:
    one = finished(project)

    class Deadly(dict):  # type: ignore[type-arg]
        """Artifacts at which the server dies."""

        def items(self):  # type: ignore[no-untyped-def]
            server.kill()
            return super().items()

    with pytest.raises(TrackingError, match="cannot be used"):
        log_finished(type(one)(one.experiment, one.rows, one.curves, one.data, Deadly(one.artifacts)))
    server.start()
    (begun,) = parents()
    assert finished_runs() == []
    assert log_finished(one) == begun.info.run_id
    assert len(runs()) == 3
    assert len(files(begun.info.run_id)) == 4


def test_a_reader_whose_server_dies_tells_it_in_one_line(server: Server, project: Path) -> None:
    journal = project / "step_1.jsonl"
    journal.write_text('{"iteration": 10, "loss": 0.5, "lr": 0.1}\n')
    seen = []

    def trains(seconds: float) -> bool:
        if seconds and not seen:
            seen.append("begun")
        elif seconds:
            (run,) = parents()
            seen.append(points(children(run.info.run_id)["step 1: cat"].info.run_id, "loss"))
            server.kill()
            with journal.open("a") as lines:
                lines.write('{"iteration": 20, "loss": 0.25, "lr": 0.1}\n')
        return True

    with pytest.raises(TrackingError, match="cannot be used") as caught:
        follow(journal, experiment(), 1, ["cat"], trains)
    assert "\n" not in str(caught.value)
    assert seen == ["begun", [(10, 0.5)]]
