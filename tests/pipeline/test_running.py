"""A folder in which a pipeline computes keeps its parameters."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ssul.errors import UserError
from ssul.pipeline.running import require_idle
from tests.pipeline.clone import TINY, Clone, switches


def write_rwlock(project: Path, text: str) -> None:
    path = project / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")


def entry(pid: int) -> str:
    return json.dumps({"write": {"data/index": {"pid": pid, "cmd": "dvc repro"}}, "read": {}})


def test_a_live_process_of_dvc_is_named_with_the_ways_out(tmp_path: Path) -> None:
    write_rwlock(tmp_path, entry(os.getpid()))
    with pytest.raises(UserError, match=rf"process {os.getpid()} \(`dvc repro`\) computes.*--queue.*--temp"):
        require_idle(tmp_path)


@pytest.mark.parametrize("text", [None, "", "[]", '{"write": {}}', "dead"])
def test_a_folder_in_which_nothing_computes_is_idle(tmp_path: Path, text: str | None) -> None:
    if text == "dead":
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        text = entry(ended.pid)
    if text is not None:
        write_rwlock(tmp_path, text)
    require_idle(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train_base", "evaluate", "report"])
def test_a_second_experiment_in_the_same_folder_is_refused_and_changes_nothing(clone: Clone, stage: str) -> None:
    overrides = switches(*TINY, "recipe.increment.epochs=3", f"recipe.base.epochs={2 if stage == 'train_base' else 1}")
    first = clone.background("exp", "run", *overrides)
    while f"stages.{stage}" not in words_of_children(first.pid):
        assert first.poll() is None, "it ended before the stage was seen"
        time.sleep(0.02)
    before = (clone.root / "params.yaml").read_text()
    second = clone.experiment("recipe.increment.lr=0.5")
    assert second.code == 1
    assert "computes in this folder" in second.text
    assert (clone.root / "params.yaml").read_text() == before
    assert first.wait(timeout=300) == 0
    assert "lr: 0.5" not in (clone.root / "dvc.lock").read_text()


def words_of_children(pid: int) -> list[str]:
    """The command lines of a process's children, word by word."""
    words: list[str] = []
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                words += child.cmdline()
    return words
