"""The network of a run, back from MLflow."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from ssul.errors import UserError
from ssul.io.atomic import replace_dir
from ssul.model.checkpoint import load_checkpoint
from ssul.model.deeplab import IncrementalDeepLab
from ssul.tracking.store import opened


def fetch_checkpoint(run_id: str, folder: Path) -> None:
    """Downloads the last checkpoint of a run into a folder, whole or not at all.

    Args:
        run_id: of the run.
        folder: its place; a checkpoint that is there is replaced.

    Raises:
        TrackingError: if the store cannot be reached, or has no such run or no checkpoint in it.
        UserError: if something else is in that place.
    """
    if folder.exists() and not (folder / "model.json").is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there and holds no checkpoint: name a new folder, or one to be replaced")
    with tempfile.TemporaryDirectory() as temporary:
        with opened() as store:
            store.client.download_artifacts(run_id, "checkpoint", temporary)
        with replace_dir(folder) as fresh:
            shutil.copytree(Path(temporary) / "checkpoint", fresh, dirs_exist_ok=True)


def open_checkpoint(run_id: str) -> tuple[IncrementalDeepLab, dict[str, Any]]:
    """The last network of a run, on the CPU in evaluation mode, and what its channels mean.

    Raises:
        TrackingError: see `fetch_checkpoint`.
        UserError: if the checkpoint is not a whole one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        fetch_checkpoint(run_id, Path(temporary) / "checkpoint")
        return load_checkpoint(Path(temporary) / "checkpoint")
