"""Outputs appear whole or not at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ssul.io.atomic import replace_dir, replace_file, write_text


class StopRequest(BaseException):
    """Like Ctrl-C: no Exception."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "file.txt"
    with replace_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["file.txt"]


def test_a_file_keeps_its_content_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replace_file(path) as temporary:
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, StopRequest])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with replace_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_block_that_writes_nothing_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replace_file(path):
        pass
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_hard_link_into_the_cache_is_left_alone(tmp_path: Path) -> None:
    cached, path = tmp_path / "cached", tmp_path / "file.txt"
    cached.write_text("old")
    os.link(cached, path)
    write_text(path, "new")
    assert (cached.read_text(), path.read_text()) == ("old", "new")


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "größer\n")
    assert (tmp_path / "file.txt").read_bytes() == "größer\n".encode()


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    with replace_dir(path) as temporary:
        (temporary / "a").write_text("1")
        assert not path.exists()
        (temporary / "b").write_text("2")
    assert names(path) == ["a", "b"]
    assert names(path.parent) == ["folder"]


def test_a_folder_is_replaced_and_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("stale", "fresh"):
        with replace_dir(path) as temporary:
            (temporary / name).touch()
    assert names(path) == ["fresh"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, StopRequest])
def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")

    def fail() -> None:
        with replace_dir(path) as temporary:
            (temporary / "new").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_starts_empty_even_after_a_process_of_the_same_number_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with replace_dir(path) as temporary:
        name = temporary.name
    left_over = tmp_path / name
    left_over.mkdir()
    (left_over / "half").touch()
    with replace_dir(path) as temporary:
        assert names(temporary) == []
    assert names(path) == []


def test_a_block_may_leave_a_folder_empty(tmp_path: Path) -> None:
    with replace_dir(tmp_path / "folder"):
        pass
    assert names(tmp_path / "folder") == []


def test_an_interruption_between_the_two_moves_brings_the_old_folder_back(
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


def killed_while_writing(folder: Path) -> list[str]:
    """Names that a process leaves which dies within two blocks."""
    code = (
        "import os, sys; from pathlib import Path; from ssul.io.atomic import replace_file, replace_dir\n"
        "here = Path(sys.argv[1])\n"
        "with replace_file(here / 'file') as file, replace_dir(here / 'folder') as folder:\n"
        "    file.touch(); (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=Path(__file__).parents[2], check=False)
    return names(folder)


def fresh_process(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ssul.io.atomic import write_text; write_text(Path(sys.argv[1]), '')"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "new")], cwd=Path(__file__).parents[2], check=True)


def test_the_next_process_that_writes_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    assert len(killed_while_writing(tmp_path)) == 2
    fresh_process(tmp_path)
    assert names(tmp_path) == ["new"]


def test_what_living_processes_and_other_hosts_write_is_left_alone(tmp_path: Path) -> None:
    (left, _) = killed_while_writing(tmp_path)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    dead = left.split(".")[-2]
    kept = [
        left.replace(f".{dead}.", f".{os.getpid()}."),
        f".file.other-host.{dead}.tmp",
        ".notes.tmp",
        f"x.{dead}.tmp",
    ]
    for name in kept:
        (tmp_path / name).touch()
    fresh_process(tmp_path)
    assert names(tmp_path) == sorted([*kept, "new"])
