"""`ssul predict`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from ssul.errors import UserError
from ssul.pipeline.progress import with_progress


def predict(
    checkpoint: Annotated[
        str,
        typer.Argument(help="A checkpoint folder; runs:/ID of MLflow; or an experiment's name.", show_default=False),
    ],
    images: Annotated[
        list[Path], typer.Argument(help="Images (JPEG or PNG), folders of images, videos.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The folder to write to.", show_default=False)],
    unknown: Annotated[
        bool, typer.Option("--unknown", help='Show where the network says "something, none of my classes".')
    ] = False,
    window: Annotated[
        int, typer.Option(help="Images with a longer side in pixels are seen in overlapping windows of this side.")
    ] = 2048,
    background: Annotated[
        bool | None,
        typer.Option(help="Whether a background is predicted; by default unless the data have none."),
    ] = None,
    precision: Annotated[str, typer.Option(help="32 or bf16.")] = "32",
) -> None:
    """Predict images with a checkpoint: masks, overlays with a legend, and the share of each class."""
    from torch import OutOfMemoryError  # late: it takes seconds

    from ssul.prediction.inputs import find_inputs
    from ssul.prediction.model import load
    from ssul.prediction.video import predict_video

    if out.exists() and not out.is_dir():
        raise UserError(f"--out is {out}, a file: name a folder")
    found = find_inputs(images, out)
    model = load(checkpoint, precision=precision, background=background)
    model.require(unknown=unknown, window=window)
    problems = 0
    for one in with_progress(found, total=len(found), title="predict", unit="file"):
        problem = None
        try:
            if one.is_video:
                predict_video(model, one.path, out, one.name, unknown=unknown, window=window)
            else:
                model.predict(one.path, unknown=unknown, window=window).save(out, one.name)
        except UserError as error:
            problem = str(error)
        except (OutOfMemoryError, MemoryError):
            problem = f"the memory does not suffice for {one.path}: choose a --window of less than {window}"
        except OSError as error:  # no other image could be written either
            raise UserError(f"{error.filename or out} cannot be written: {error.strerror or error}") from None
        if problem:
            problems += 1
            tqdm.write(f"error: {problem}", file=sys.stderr)  # above the bar
    print(f"{out}: {len(found) - problems} of {len(found)} files predicted")
    if problems:
        raise typer.Exit(1)
