"""The checkpoint that a scenario starts from, in place of training the base step.

It lies wherever the user has it, and its path must not decide what DVC runs. So `prepare` records the digest of its
content, and the base step depends on this record.
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
    """What a scenario starts from.

    Attributes:
        digest: of the checkpoint, see `checkpoint_digest`; None where the base step is trained.
    """

    digest: str | None

    @classmethod
    def of(cls, checkpoint: Path | None) -> "InitialCheckpoint":
        """What stands in a checkpoint folder now.

        Raises:
            UserError: if there is none.
        """
        return cls(None if checkpoint is None else checkpoint_digest(checkpoint))

    def require_unchanged(self, checkpoint: Path | None) -> Path:
        """The checkpoint folder, whose content is as it was recorded.

        Raises:
            UserError: if it is another one.
        """
        if checkpoint is None or InitialCheckpoint.of(checkpoint) != self:
            raise UserError(
                "recipe.base.checkpoint has changed since it was recorded: record it with `dvc repro --force prepare`"
            )
        return checkpoint

    def write(self, path: Path) -> None:
        """Writes the note as JSON."""
        write_text(path, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> "InitialCheckpoint":
        """Reads what `write` wrote.

        Raises:
            UserError: if the file is missing or damaged.
        """
        return read_json(path, cls, what="the note of the checkpoint to start from,", way_out=_WAY_OUT)


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a checkpoint folder's files, how it was learned left out.

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
