"""A small checkpoint on disk, and what tests do to it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

LABELS = {"groups": [[4, 2, 3], [1]], "unknown": True, "activation": "sigmoid"}
MEANING = {"labels": LABELS, "class_names": ["moon", "ball", "hat", "Ähre"]}
HEAD_SIZES = (1, 1, 3, 1)
Change = Callable[[dict[str, Any]], object]


def digests(folder: Path, names: str = "*") -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob(names))}


def describe(folder: Path, change: Change) -> None:
    """Changes the content of model.json."""
    path = folder / "model.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def update_digests(folder: Path) -> None:
    """Notes the digests of the parts as they are now, as an attacker would."""
    describe(folder, lambda content: content.update(digests=digests(folder, "*.safetensors")))
