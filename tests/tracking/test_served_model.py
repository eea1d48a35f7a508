"""The checkpoint of a run is a model of MLflow: `mlflow models serve` answers a photograph with its mask."""

import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ssul
from ssul.labels.colours import voc_colours
from ssul.prediction.look import LOOK, Look
from ssul.tracking.model import write_model
from ssul.tracking.runs import log_finished
from tests.project import PROJECT
from tests.tracking.examples import client, files, finished

pytestmark = pytest.mark.slow
LOOKS = Look(voc_colours(4), background=True)


@pytest.fixture
def run(project: Path, onlooker: Callable[..., Path], tmp_path: Path) -> str:
    """A logged run whose checkpoint is a model."""
    done, model = finished(tmp_path), tmp_path / "model"
    write_model(model)
    LOOKS.write(model / LOOK)
    beside = {f"checkpoint/{path.name}": path for path in model.iterdir()}
    return log_finished(replace(done, artifacts={"checkpoint": onlooker(), **beside}))


@pytest.fixture
def address(run: str, tmp_path: Path) -> Iterator[str]:
    """Where the model is served, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["models", "serve", "-m", f"runs:/{run}/checkpoint", "--env-manager", "local", "--port", str(port)]
    variables = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{Path('mlflow.db').resolve()}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    with (tmp_path / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 300
        while not answers(f"http://127.0.0.1:{port}/ping"):
            assert server.poll() is None, (tmp_path / "log.txt").read_text()[-3000:]
            assert time.monotonic() < end
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def answers(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def asked(address: str, images: list[bytes], **params: object) -> list[dict[str, Any]]:
    """The answers to some image files."""
    rows = [{"image": base64.b64encode(one).decode()} for one in images]
    body = json.dumps({"dataframe_records": rows, "params": params}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        found: list[dict[str, Any]] = json.load(answer)["predictions"]
        return found


def content(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def pixels(text: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image)


def test_a_served_model_answers_a_jpeg_with_its_mask_and_refuses_other_bytes(
    run: str, address: str, onlooker: Callable[..., Path], photograph: NDArray[np.uint8]
) -> None:
    image = Image.fromarray(photograph)
    expected = ssul.load(onlooker()).predict(content(image, "JPEG"), unknown=True)
    jpeg, png = asked(address, [content(image, "JPEG"), content(image, "PNG")])
    assert np.array_equal(pixels(jpeg["mask"]), expected.mask)
    assert jpeg["classes"] == pytest.approx(expected.classes)
    assert pixels(png["mask"]).shape == (90, 130)
    (shown,) = asked(address, [content(image, "JPEG")], unknown=True)
    assert np.array_equal(pixels(shown["unknown"]), np.asarray(expected.unknown_image()))
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(address, [b"no image"])
    assert refused.value.code == 400
    assert "not a JPEG or PNG image" in refused.value.read().decode()


def test_a_run_holds_its_weights_once_and_no_pickle_and_one_command_registers_it(run: str, tmp_path: Path) -> None:
    logged = files(run)
    assert {"checkpoint/MLmodel", "checkpoint/model.json", "checkpoint/served_model.py"} <= logged
    assert sum(name.endswith("backbone.safetensors") for name in logged) == 1
    assert not [name for name in logged if name.endswith((".pkl", ".pickle", ".pt", ".pth"))]
    page = (PROJECT / "docs" / "predict.md").read_text(encoding="utf-8")
    (register,) = re.findall(r'^python -c "(import mlflow; .*)"$', page, flags=re.MULTILINE)
    variables = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{Path('mlflow.db').resolve()}"}
    subprocess.run([sys.executable, "-c", register.replace("RUN", run)], env=variables, check=True)
    (version,) = client().search_model_versions("name = 'ssul'")
    assert version.run_id == run
    folder = Path(client().download_artifacts(run, "checkpoint", str(tmp_path)))
    assert ssul.load(folder).palette == LOOKS.palette
    assert ssul.load(f"runs:/{run}").palette == LOOKS.palette
