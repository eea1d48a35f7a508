"""Results of earlier scans, by the hash of the content."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ssul.labels.ids import BACKGROUND_ID


@dataclass(frozen=True)
class MaskStatistics:
    """The size of a mask and its pixels of each class, as in `IndexRow`."""

    height: int
    width: int
    pixels: dict[int, int]
    void: int

    @property
    def present(self) -> tuple[int, ...]:
        """The classes in the mask, without the background, ascending."""
        return tuple(sorted(class_id for class_id in self.pixels if class_id != BACKGROUND_ID))


@dataclass
class ScanCache:
    """Scan results on disk, by a key of the content, so that a killed or repeated scan decodes nothing twice.

    Each line is JSON: [key, height, width, pixels, void]. Lines are only appended, each in one write, so that several
    processes may share the file. A line that a kill has cut off is ignored.

    Attributes:
        path: the file; None stores nothing on disk.
        known: the results so far.
    """

    path: Path | None
    known: dict[str, MaskStatistics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                key, height, width, pixels, void = json.loads(line)
                self.known[key] = MaskStatistics(
                    height, width, {int(value): count for value, count in pixels.items()}, void
                )
            except (ValueError, TypeError, AttributeError):
                continue

    def get_or_scan(self, key: str, scan: Callable[[], MaskStatistics]) -> MaskStatistics:
        """The result of a key; calls `scan` and stores its result if the key is new. Exceptions are not stored."""
        if key not in self.known:
            self.known[key] = found = scan()
            self._append(json.dumps([key, found.height, found.width, found.pixels, found.void]))
        return self.known[key]

    def _append(self, line: str) -> None:
        if self.path is None:
            return
        with suppress(OSError):  # an unwritable cache costs time, but changes no result
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(f"\n{line}\n".encode())  # the first newline ends a line that a kill has cut off
