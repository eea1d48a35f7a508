"""The checkpoint that a scenario starts from instead of training the base step (`recipe.base.checkpoint`).

Its path must not decide what DVC runs. So `prepare` records the digest of its content, and the base step depends on
this record.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.io.strict_json import read_json

_WAY_OUT = "run `dvc repro prepare`"


@dataclass(frozen=True)
class InitialCheckpoint:
    """The record of the checkpoint.

    Attributes:
        digest: of the checkpoint, see `checkpoint_digest`; None if the base step is trained.
    """

    digest: str | None

    @classmethod
    def of(cls, checkpoint: Path | None) -> "InitialCheckpoint":
        """The record of a checkpoint folder as it is now.

        Raises:
            UserError: if it is not a checkpoint folder.
        """
        return cls(None if checkpoint is None else checkpoint_digest(checkpoint))

    def require_unchanged(self, checkpoint: Path | None) -> Path:
        """The checkpoint folder, if its content is as recorded.

        Raises:
            UserError: if it has changed.
        """
        if checkpoint is None or InitialCheckpoint.of(checkpoint) != self:
            raise UserError(
                "recipe.base.checkpoint has changed since it was recorded: record it with `dvc repro --force prepare`"
            )
        return checkpoint

    def write(self, path: Path) -> None:
        """Writes the record as JSON."""
        write_text(path, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> "InitialCheckpoint":
        """Reads what `write` wrote.

        Raises:
            UserError: if the file is missing or damaged.
        """
        return read_json(path, cls, what="the note of the checkpoint to start from,", way_out=_WAY_OUT)


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a checkpoint folder's files, without the record of its training.

    Raises:
        UserError: if there are none.
    """
    files = (
        sorted(path for path in folder.iterdir() if path.is_file() and path.name != "training.json")
        if folder.is_dir()
        else []
    )
    if not files:
        raise UserError(
            f"recipe.base.checkpoint '{folder}' is not a checkpoint folder: name one, or train the base step with "
            "-S recipe.base.checkpoint=null"
        )
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
