"""The listings of folders in DVC's cache, made again from dvc.lock where a fresh clone lacks them.

DVC keeps an output folder as its files and a listing of them. dvc.lock comes with git and names the listing of
data/splits; the cache does not come with it. An experiment outside the working folder (`--queue`, `--temp`) whose first
stages all come from the run cache asks for that listing, though its own data/splits is another, and fails.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ssul.io.atomic import write_text

_FOLDER = ".dir"


def restore_listings(lock: Path, cache: Path) -> None:
    """Writes the listings that dvc.lock names and the cache lacks, as far as dvc.lock knows the files of the folder.

    Args:
        lock: dvc.lock; nothing is written if it cannot be read.
        cache: the folder of DVC's cache that holds the hashes.
    """
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"].values()
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return
    known = {entry["path"]: entry.get("md5", "") for stage in stages for entry in _entries(stage)}
    for folder, digest in known.items():
        place = cache / digest[:2] / digest[2:]
        if digest.endswith(_FOLDER) and not place.exists():
            files = {path: md5 for path, md5 in known.items() if PurePosixPath(folder) in PurePosixPath(path).parents}
            listing = json.dumps([{"md5": files[path], "relpath": path[len(folder) + 1 :]} for path in sorted(files)])
            if hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + _FOLDER == digest:
                place.parent.mkdir(parents=True, exist_ok=True)
                write_text(place, listing)


def _entries(stage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from stage.get("deps", ())
    yield from stage.get("outs", ())
