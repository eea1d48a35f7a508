"""The network of a run, back from MLflow."""

import tempfile
from pathlib import Path
from typing import Any

from ssul.atomic import replaced_folder
from ssul.model.checkpoint import load_checkpoint
from ssul.model.deeplab import IncrementalDeepLab
from ssul.tracking.store import opened


def fetch_checkpoint(run_id: str, folder: Path) -> None:
    """Downloads the last checkpoint of a run into a folder, whole or not at all.

    Raises:
        TrackingError: if the store cannot be reached, or has no such run or no checkpoint in it.
    """
    with opened() as store, replaced_folder(folder) as temporary:
        store.client.download_artifacts(run_id, "checkpoint", str(temporary))
        for path in (temporary / "checkpoint").iterdir():
            path.rename(temporary / path.name)
        (temporary / "checkpoint").rmdir()


def open_checkpoint(run_id: str) -> tuple[IncrementalDeepLab, dict[str, Any]]:
    """The last network of a run, on the CPU in evaluation mode, and what its channels mean.

    Raises:
        TrackingError: see `fetch_checkpoint`.
        UserError: if the checkpoint is not a whole one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        fetch_checkpoint(run_id, Path(temporary) / "checkpoint")
        return load_checkpoint(Path(temporary) / "checkpoint")
