"""An exported program gives the class ids of `predict`, from images of any size, without this code."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ssul.datasets.catalog import find_dataset
from ssul.errors import UserError
from ssul.labels.space import LabelSpace
from ssul.prediction.export import METADATA, export_checkpoint
from ssul.prediction.model import load
from tests.onlooker import SPACE

SIZES = [(90, 130), (33, 200), (256, 64)]
SPACES = {
    "ssul": SPACE,
    "mib": LabelSpace(SPACE.groups, unknown=False, activation="softmax"),
    "dkd": LabelSpace(SPACE.groups, unknown=True, activation="sigmoid", constant_background=True),
}
Run = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def program(checkpoint: Path, kind: str, folder: Path) -> tuple[Run, dict[str, Any]]:
    """The exported program, uint8 (1, 3, H, W) -> uint8 (1, H, W), and its metadata."""
    out = folder / f"program.{kind}"
    export_checkpoint(checkpoint, out, kind)
    if kind == "torch":
        extra = {METADATA: ""}
        module = torch.export.load(out, extra_files=extra).module()
        return lambda image: module(torch.from_numpy(image)).numpy(), json.loads(extra[METADATA])
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: ssul[onnx]")
    session = runtime.InferenceSession(out, providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    return lambda image: session.run(None, {"image": image})[0], metadata


def enlarged(photograph: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(photograph).resize(size[::-1]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("method", SPACES)
def test_a_program_sees_what_predict_sees(
    method: str, kind: str, onlooker: Callable[..., Path], photograph: NDArray[np.uint8], tmp_path: Path
) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxscript", reason="what ONNX needs is not installed: ssul[onnx]")
    checkpoint = onlooker(SPACES[method], "deeplabv3plus" if method == "mib" else "deeplabv3")
    run, metadata = program(checkpoint, kind, tmp_path)
    model = load(checkpoint)
    for size in SIZES:
        image = enlarged(photograph, size)
        found = run(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        assert found.dtype == np.uint8
        assert found.shape == (1, *size)
        assert (found[0] != model.predict(image).mask).mean() < 1e-3  # ties, which rounding decides
    shapes = find_dataset("shapes")
    assert metadata["classes"] == [
        {"id": key, "name": shapes.class_name(key), "colour": list(shapes.palette[key])} for key in range(4)
    ]


def test_another_format_is_refused(onlooker: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--format is tflite: choose torch or onnx"):
        export_checkpoint(onlooker(), tmp_path / "out", "tflite")
    assert not (tmp_path / "out").exists()


def test_a_missing_library_is_named_before_anything_is_computed(
    onlooker: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r'pip install "ssul\[onnx\]"'):
        export_checkpoint(onlooker(), tmp_path / "out.onnx", "onnx")
