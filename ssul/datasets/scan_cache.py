"""Results of earlier scans, by content hash."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ssul.labels.ids import BACKGROUND_ID


@dataclass(frozen=True)
class MaskStatistics:
    """What a mask shows: its size and its pixels, as in `IndexRow`."""

    height: int
    width: int
    pixels: dict[int, int]
    void: int

    @property
    def present(self) -> tuple[int, ...]:
        """The classes that the mask shows, background left out, ascending."""
        return tuple(sorted(class_id for class_id in self.pixels if class_id != BACKGROUND_ID))


@dataclass
class ScanCache:
    """What was found out about file contents, kept on disk, so that a killed or repeated pass decodes nothing twice.

    A line of JSON for each content: [key, height, width, pixels, void]. Lines are only appended, each in one write, so
    that several processes may share the file; a line that a kill cut off is overlooked.

    Attributes:
        path: the file; None keeps nothing.
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

    def ask(self, key: str, find_out: Callable[[], MaskStatistics]) -> MaskStatistics:
        """What is known under a key, or what `find_out` returns, which is then known."""
        if key not in self.known:
            self.known[key] = shown = find_out()
            self._keep(json.dumps([key, shown.height, shown.width, shown.pixels, shown.void]))
        return self.known[key]

    def _keep(self, line: str) -> None:
        if self.path is None:
            return
        with suppress(OSError):  # where nothing can be written, nothing is kept; that costs time and no result
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(f"\n{line}\n".encode())  # the first newline ends a line that a kill cut off
