"""A fresh clone has dvc.lock and no cache: the listings that the lock names are made again from its own lines."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml

from ssul.pipeline.folder_listings import restore_listings
from tests.pipeline.clone import TINY, Clone, succeeded, switches

FILES = {"b.json": "b" * 32, "a.json": "a" * 32}
LISTING = json.dumps([{"md5": FILES[name], "relpath": name} for name in ("a.json", "b.json")])
DIGEST = hashlib.md5(LISTING.encode()).hexdigest() + ".dir"


def lock(folder: Path, *, deps: dict[str, str]) -> Path:
    """A dvc.lock of a stage that makes the folder `made`, and one that reads files of it."""
    stages = {
        "make": {"cmd": "make", "outs": [{"path": "made", "md5": DIGEST}]},
        "read": {"cmd": "read", "deps": [{"path": f"made/{name}", "md5": md5} for name, md5 in deps.items()]},
    }
    path = folder / "dvc.lock"
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")
    return path


def test_a_listing_that_the_cache_lacks_is_written_as_dvc_writes_it(tmp_path: Path) -> None:
    restore_listings(lock(tmp_path, deps=FILES), tmp_path / "cache")
    assert (tmp_path / "cache" / DIGEST[:2] / DIGEST[2:]).read_text(encoding="utf-8") == LISTING


def test_nothing_is_written_where_the_lock_does_not_know_all_files(tmp_path: Path) -> None:
    restore_listings(lock(tmp_path, deps={"a.json": FILES["a.json"]}), tmp_path / "cache")
    restore_listings(tmp_path / "no.lock", tmp_path / "cache")
    (tmp_path / "torn.lock").write_text("stages: [", encoding="utf-8")
    restore_listings(tmp_path / "torn.lock", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("untracked")
def test_in_a_fresh_clone_a_second_experiment_beside_the_folder_takes_the_first_ones_base(clone: Clone) -> None:
    succeeded(clone.command("git", "add", "dvc.lock"))
    succeeded(clone.command("git", "commit", "-qam", "the results"))
    for name in (".dvc/cache", ".dvc/tmp", "data/splits", "data/index", "data/checkpoints", "data/evaluation"):
        shutil.rmtree(clone.root / name)
    beside = ("exp", "run", "--temp", *switches(*TINY, "scenario.base_classes=4"))
    assert "train_base" in succeeded(clone.dvc(*beside, "train_base")).ran
    second = succeeded(clone.dvc(*beside, "-S", "evaluation.examples=3", "train_base"))
    assert "train_base" in second.restored, second.text
