"""A checkpoint as one program: a uint8 image in, class ids out, for `torch.export` and ONNX."""

import json
import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.io.atomic import replace_file
from ssul.labels.ids import BACKGROUND_ID
from ssul.labels.scores import predict
from ssul.labels.space import LabelSpace
from ssul.prediction.look import Look
from ssul.prediction.model import class_names, open_checkpoint

Format = Literal["torch", "onnx"]
INPUT, OUTPUT, METADATA = "image", "classes", "ssul"
_SIDES = (32, 8192)
"""The least and the greatest height and width in pixels that a program takes."""
_EXAMPLE = (200, 264)
_OPSET = 18


class Program(nn.Module):
    """All that a prediction takes: normalisation, network, up-sampling, the unknown's folding, dataset ids."""

    ids: Tensor

    def __init__(self, trained: TrainedModel, *, background: bool) -> None:
        super().__init__()
        self.network = trained.model.eval()
        self._labels: LabelSpace = trained.labels
        self._background = background
        self.register_buffer("ids", torch.tensor((BACKGROUND_ID, *trained.labels.classes), dtype=torch.uint8))

    def forward(self, image: Tensor) -> Tensor:
        """The dataset ids uint8 (1, H, W) of an image uint8 (1, 3, H, W), RGB."""
        logits = self.network(self.network.normalisation.normalise(image))
        indices = predict(self._labels, logits, background=self._background)
        return self.ids[indices.long()]


def export_checkpoint(checkpoint: str | Path, out: Path, kind: str, *, background: bool | None = None) -> None:
    """Writes a checkpoint as one program, see `export_program`.

    Args:
        checkpoint, background: as `ssul.load` takes them.
        out, kind: as `export_program` takes them.

    Raises:
        UserError: as both.
    """
    export_program(*open_checkpoint(checkpoint, background=background), out, kind)


def export_program(trained: TrainedModel, look: Look, out: Path, kind: str) -> None:
    """Writes a checkpoint as one program, whole or not at all.

    Height and width are free. The metadata is JSON below the key `ssul`: the name and the colour of each id.

    Args:
        trained: the checkpoint.
        look: colours, and whether a background is predicted.
        out: the file: .pt2 for `torch.export.load`, .onnx for ONNX.
        kind: torch or onnx.

    Raises:
        UserError: if the kind is unknown, or what ONNX needs is not installed.
    """
    if kind not in get_args(Format):
        raise UserError(f"--format is {kind}: choose {' or '.join(get_args(Format))}")
    if kind == "onnx":
        _require_onnx()
    program = Program(trained, background=look.background).eval()
    metadata = json.dumps(_metadata(trained, look))
    example = torch.randint(256, (1, 3, *_EXAMPLE), dtype=torch.uint8)
    least, most = _SIDES
    sides = {
        2: torch.export.Dim("height", min=least, max=most),
        3: torch.export.Dim("width", min=least, max=most),
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(program, (example,), dynamic_shapes={INPUT: sides})
        if kind == "torch":
            with replace_file(out) as temporary, temporary.open("wb") as file:
                torch.export.save(exported, file, extra_files={METADATA: metadata})
            return
        _write_onnx(exported, out, metadata)


def _require_onnx() -> None:
    try:
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise UserError(f'{error}: pip install "ssul[onnx]"') from None


def _write_onnx(exported: Any, out: Path, metadata: str) -> None:
    made = torch.onnx.export(
        exported, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], opset_version=_OPSET, verbose=False
    )
    assert made is not None
    made.model.metadata_props[METADATA] = metadata
    with replace_file(out) as temporary:
        made.save(temporary, external_data=False)


def _metadata(trained: TrainedModel, look: Look) -> dict[str, Any]:
    return {
        "classes": [
            {"id": key, "name": name, "colour": look.palette[key]} for key, name in class_names(trained).items()
        ],
        "background_predicted": look.background,
        "input": "uint8 (1, 3, H, W), RGB, 0..255",
        "output": "uint8 (1, H, W), ids",
    }
