"""The file of an unfinished download, and the note of what it is a part of."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ssul.io.atomic import write_text
from ssul.io.urls import redact_password


@dataclass(frozen=True)
class PartialDownload:
    """What a partial file is a part of.

    Attributes:
        address: its URL, without a password.
        validator: the server's ETag or date of exactly this content; None if the server gives none, so that the
            download cannot be resumed.
        total: bytes of the whole file; None if unknown.
    """

    address: str
    validator: str | None
    total: int | None


@dataclass(frozen=True)
class PartialFile:
    """The file of a download, and its note beside it, `NAME.json`.

    Attributes:
        path: the file.
    """

    path: Path

    @property
    def note(self) -> Path:
        """The `PartialDownload`, as JSON."""
        return self.path.with_name(f"{self.path.name}.json")

    def clear(self) -> None:
        """Removes both."""
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def start(self, note: PartialDownload) -> None:
        """Starts a new download. The old bytes are removed before the new note is written, so that they never mix."""
        self.clear()
        self.describe(note)

    def describe(self, note: PartialDownload) -> None:
        """Writes the note."""
        write_text(self.note, json.dumps(asdict(note)))

    def resume_offset(self, address: str) -> tuple[PartialDownload | None, int]:
        """The note and the number of downloaded bytes, if the download can be resumed from there."""
        try:
            note = PartialDownload(**json.loads(self.note.read_text(encoding="utf-8")))
            size = self.path.stat().st_size
        except (FileNotFoundError, ValueError, TypeError):
            return None, 0
        resumable = note.address == redact_password(address) and size > 0 and (note.validator or note.total == size)
        return (note, size) if resumable else (None, 0)
