"""The parameters that an experiment would have."""

import tempfile
from pathlib import Path
from typing import Any

import yaml

from ssul.config.paths import Layout
from ssul.errors import UserError


def composed(root: Path, *overrides: str) -> dict[str, Any]:
    """What `dvc exp run -S ...` would write into the params.yaml of a project; the file itself is not touched.

    Args:
        root: the project.
        overrides: as `-S` takes them, such as `memory=rehearsal`.

    Raises:
        UserError: if an override is not valid.
    """
    from dvc.utils.hydra import compose_and_dump

    conf = str(Layout(root).composition.parent.resolve())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        try:
            compose_and_dump(path, conf, None, "config", str(root.resolve()), list(overrides))
        except SystemExit as refused:  # which is how `dvc exp run` shows a refusal as one line
            raise UserError(str(refused).removeprefix("error: ")) from None
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
