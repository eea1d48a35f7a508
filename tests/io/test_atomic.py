"""Outputs appear whole or not at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ssul.io.atomic import replace_dir, replace_file, write_text

PROJECT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "file.txt"
    for before, after in ((None, "größer\n"), ("größer\n", "new")):
        with replace_file(path) as temporary:
            temporary.write_text("half")
            assert (path.read_text("utf-8") if path.exists() else None) == before
            temporary.write_text(after, encoding="utf-8")
        assert path.read_bytes() == after.encode()
    assert names(path.parent) == ["file.txt"]


def test_a_hard_link_into_the_cache_is_left_alone(tmp_path: Path) -> None:
    cached, path = tmp_path / "cached", tmp_path / "file.txt"
    cached.write_text("old")
    os.link(cached, path)
    write_text(path, "größer")
    assert (cached.read_bytes(), path.read_bytes()) == (b"old", "größer".encode())


def test_a_folder_appears_when_the_block_ends_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    for content in (["a", "b"], ["c"], []):
        before = names(path) if path.exists() else None
        with replace_dir(path) as temporary:
            for name in content:
                (temporary / name).touch()
            assert (names(path) if path.exists() else None) == before
        assert names(path) == content
        assert names(path.parent) == ["folder"]


def test_an_interrupt_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    (folder / "old").mkdir(parents=True)

    def interrupted() -> None:
        with replace_file(file) as new_file, replace_dir(folder) as new_folder:
            new_file.write_text("half")
            (new_folder / "new").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(FileNotFoundError), replace_file(file):
        pass  # a block that writes nothing
    assert file.read_text() == "old"
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["file", "folder"]


def test_a_folder_starts_empty_even_after_a_process_of_the_same_number_was_killed(tmp_path: Path) -> None:
    with replace_dir(tmp_path / "folder") as temporary:
        pass
    (temporary / "half").mkdir(parents=True)
    with replace_dir(tmp_path / "folder") as again:
        assert again == temporary
        assert names(again) == []


def test_an_interruption_between_the_two_renames_restores_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    (path / "old").mkdir(parents=True)
    move = Path.replace

    def interrupted(source: Path, target: Path) -> Path:
        if target == path and not source.name.startswith(".folder.old"):
            raise KeyboardInterrupt
        return move(source, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), replace_dir(path):
        pass
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


# --- what killed processes leave --------------------------------------------------------------------------------------


def run_code(code: str, folder: Path) -> int:
    start = "import os, sys; from pathlib import Path; from ssul.io.atomic import *; here = Path(sys.argv[1])\n"
    return subprocess.run([sys.executable, "-c", start + code, str(folder)], cwd=PROJECT, check=False).returncode


def kill_while_writing(folder: Path) -> list[str]:
    """The names that a killed process leaves."""
    code = (
        "with replace_file(here / 'file') as file, replace_dir(here / 'folder') as folder:\n"
        "    file.touch(); (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    )
    assert run_code(code, folder) == -9
    return names(folder)


def test_the_next_process_that_writes_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    assert len(kill_while_writing(tmp_path)) == 2
    assert run_code("write_text(here / 'new', '')", tmp_path) == 0
    assert names(tmp_path) == ["new"]


def test_files_of_living_processes_and_of_other_hosts_are_left_alone(tmp_path: Path) -> None:
    (left, _) = kill_while_writing(tmp_path)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    dead = left.split(".")[-2]
    mine = left.replace(f".{dead}.", f".{os.getpid()}.")
    kept = [mine, f".file.other-host.{dead}.tmp", ".notes.tmp", f"x.{dead}.tmp"]
    for name in kept:
        (tmp_path / name).touch()
    assert run_code("write_text(here / 'new', '')", tmp_path) == 0
    assert names(tmp_path) == sorted([*kept, "new"])
