"""A run travels to another store whole, once, and without what the reader has already."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from ssul.errors import UserError
from ssul.tracking.exchange import PackedRun, import_run, pack_run
from ssul.tracking.runs import log_finished
from tests.tracking.examples import children, client, everything, finished, own_project, parent, runs

HEAD = bytes(range(256))
"""The content of the checkpoint's weights."""
MD5 = hashlib.md5(HEAD).hexdigest()


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The file of a run, and the run as its store holds it."""
    root = tmp_path_factory.mktemp("packed")
    with pytest.MonkeyPatch.context() as patch:
        own_project(root / "project", patch)
        run_id = log_finished(finished(root / "project"))
        pack_run(run_id, root / "run.zip", elsewhere={MD5})
        return root / "run.zip", all_written(run_id)


def all_written(run_id: str) -> list[Any]:
    """A run and those of its steps."""
    return [written(run_id), *(written(one.info.run_id) for one in children(run_id).values())]


def written(run_id: str) -> Any:
    """All of a run but its id and its parent's."""
    (run,) = (one for one in everything() if one[0] == run_id)
    info = client().get_run(run_id).info
    tags = [(key, value) for key, value in run[5] if key != "mlflow.parentRunId"]
    return *run[1:5], tags, *run[6:], info.start_time, info.end_time


def elsewhere(folder: Path) -> Any:
    """Finds the weights by their MD5."""
    (folder / MD5).write_bytes(HEAD)
    return lambda digest: folder / digest


@pytest.mark.usefixtures("project")
def test_all_of_it_arrives(packed: tuple[Path, list[Any]], tmp_path: Path) -> None:
    path, content = packed
    assert import_run(path, elsewhere(tmp_path))
    assert all_written(parent().info.run_id) == content
    weights = client().download_artifacts(parent().info.run_id, "checkpoint/head_0.safetensors", str(tmp_path))
    assert Path(weights).read_bytes() == HEAD


def test_what_the_reader_has_does_not_travel(packed: tuple[Path, list[Any]]) -> None:
    with ZipFile(packed[0]) as archive:
        artifacts = json.loads(archive.read("run.json"))["artifacts"]
        assert set(archive.namelist()) == {"run.json", *artifacts.values()} - {MD5}


@pytest.mark.usefixtures("project")
def test_again_it_changes_nothing(packed: tuple[Path, list[Any]], tmp_path: Path) -> None:
    import_run(packed[0], elsewhere(tmp_path))
    before = everything()
    assert not import_run(packed[0], elsewhere(tmp_path))
    assert everything() == before


@pytest.mark.usefixtures("project")
def test_what_an_interrupted_import_left_is_removed_by_the_next(
    packed: tuple[Path, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", killed)
        with pytest.raises(KeyboardInterrupt):
            import_run(packed[0], elsewhere(tmp_path))
    assert len(runs()) == 3
    assert import_run(packed[0], elsewhere(tmp_path))
    assert len(runs()) == 3
    assert {run.info.status for run in runs()} == {"FINISHED"}


@pytest.mark.parametrize(
    ("artifacts", "reason"),
    [
        ({"../../outside": MD5}, "has the path ../../outside"),
        ({"/outside": MD5}, "has the path /outside"),
        ({"index.md": MD5[::-1]}, "index.md has another content"),
        ({"index.md": "0" * 32}, "No such file"),
        ({"index.md": MD5}, "it is no experiment's"),
        ({"index.md": 3}, "artifacts.index.md"),
        (None, "not a zip file"),
        ("flipped", "invalid"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, artifacts: Any, reason: str) -> None:
    path, find = tmp_path / "run.zip", elsewhere(tmp_path)
    path.write_bytes(b"PK")
    if artifacts == "flipped":
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr("run.json", "{}" * 99)
        content = bytearray(path.read_bytes())
        content[30 + len("run.json")] = 0b111  # a block of a kind that there is not
        path.write_bytes(content)
    elif artifacts is not None:
        run = PackedRun("a run", "FINISHED", 1, 2, {}, {}, (), (), artifacts, ())
        with ZipFile(path, "w") as archive:
            archive.writestr("run.json", json.dumps(asdict(run)))
            archive.writestr(MD5[::-1], b"")
    with pytest.raises(UserError, match=reason):
        import_run(path, find)
