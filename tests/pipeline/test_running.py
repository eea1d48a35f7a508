"""A folder in which a pipeline computes keeps its parameters."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ssul.config.paths import Layout
from ssul.errors import UserError
from ssul.io.locks import file_lock
from ssul.pipeline.running import require_idle

STAGE, EXPERIMENT = "rwlock", "exps/run/workspace/workspace.json"
"""Where dvc notes who writes the outputs of a stage, and who runs the experiment of this folder."""


def note(project: Path, name: str, text: str) -> None:
    path = project / ".dvc" / "tmp" / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")


def of_stage(pid: int) -> str:
    return json.dumps({"write": {"data/index": {"pid": pid, "cmd": "dvc repro"}}, "read": {}})


def of_experiment(pid: int) -> str:
    return json.dumps({"pid": pid, "stdin": None, "stdout": None, "stderr": None, "returncode": None})


@pytest.mark.parametrize(
    ("name", "of", "command"), [(STAGE, of_stage, "dvc repro"), (EXPERIMENT, of_experiment, "dvc exp run")]
)
def test_a_live_process_of_dvc_is_named_with_the_ways_out(
    tmp_path: Path, name: str, of: Callable[[int], str], command: str
) -> None:
    note(tmp_path, name, of(os.getpid()))
    with pytest.raises(UserError, match=rf"process {os.getpid()} \(`{command}`\) computes.*--queue.*--temp"):
        require_idle(tmp_path)


def test_a_stage_of_another_host_is_named_too_while_it_holds_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process numbers of DVC's notes say nothing there; an orphan of this host is waited for instead."""
    note(tmp_path, STAGE, of_stage(2**22 + 1))
    lock = Layout(tmp_path).stage_lock("train_base")
    with file_lock(lock, pytest.fail):
        require_idle(tmp_path)
        monkeypatch.setattr("socket.gethostname", lambda: "login")
        with pytest.raises(UserError, match=rf"process {os.getpid()} on \S+ computes.*--queue.*--temp"):
            require_idle(tmp_path)
    lock.with_suffix(".holder").write_text("process 1 on a-node-that-died")
    require_idle(tmp_path)


@pytest.mark.parametrize(("name", "of"), [(STAGE, of_stage), (EXPERIMENT, of_experiment)])
@pytest.mark.parametrize("text", [None, "", "[]", '{"write": {}}', "dead"])
def test_a_folder_in_which_nothing_computes_is_idle(
    tmp_path: Path, name: str, of: Callable[[int], str], text: str | None
) -> None:
    if text == "dead":
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        text = of(ended.pid)
    if text is not None:
        note(tmp_path, name, text)
    require_idle(tmp_path)
