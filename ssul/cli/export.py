"""`ssul export`."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(help="A checkpoint folder; runs:/ID of MLflow; or an experiment's name.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The file to write, .pt2 or .onnx.", show_default=False)],
    kind: Annotated[str, typer.Option("--format", help="torch (a program of torch.export) or onnx.")] = "onnx",
    background: Annotated[
        bool | None, typer.Option(help="Whether a background is predicted; by default unless the data have none.")
    ] = None,
) -> None:
    """Write a checkpoint as one program, from an image to class ids, that runs without ssul."""
    from ssul.prediction.export import export_checkpoint  # late: it brings torch, which takes seconds

    export_checkpoint(checkpoint, out, kind, background=background)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
