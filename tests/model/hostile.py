"""What a malicious checkpoint does, harmlessly."""

from pathlib import Path
from typing import Any


class Touch:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)
