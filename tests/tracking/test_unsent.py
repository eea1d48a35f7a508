"""What MLflow could not take waits on disk, whole, and is sent once."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ssul.tracking import unsent
from ssul.tracking.store import TrackingError
from tests.tracking.examples import CURVES, children, client, files, finished, losses, parent, parents, points, runs


def test_what_is_kept_waits_in_the_main_folder(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert unsent.kept() == []
    places = {unsent.keep(finished(tmp_path, of)) for of in ("a" * 64, "b" * 64)}
    assert set(unsent.kept()) == places
    assert {place.parent for place in places} == {project / "data" / "unsent"}


def test_an_experiment_that_is_kept_again_waits_once_as_it_is_now(project: Path) -> None:
    unsent.keep(finished(project, curves=()))
    place = unsent.keep(finished(project, curves=(), new="later"))
    assert unsent.kept() == [place]
    unsent.send(place)
    assert parent().data.params["new"] == "later"


def test_what_is_half_written_does_not_wait(project: Path) -> None:
    place = unsent.keep(finished(project))
    shutil.copytree(place, place.with_name(f".{place.name}.123.tmp"))
    assert unsent.kept() == [place]


def test_sending_logs_everything_though_the_files_that_it_came_from_are_gone(project: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    place = unsent.keep(finished(source))
    shutil.rmtree(source)
    assert unsent.send(place) == "ssul voc 15-1"
    assert parent().info.status == "FINISHED"
    run_id = parent().info.run_id
    assert points(run_id, "miou_all") == [(0, 0.5), (1, 0.25)]
    assert [points(run.info.run_id, "loss") for run in children(run_id).values()] == [losses(one) for one in CURVES]
    assert files(run_id) == {"index.md", "figures/curve.png", "checkpoint/model.json", "checkpoint/head_0.safetensors"}
    assert Path(client().download_artifacts(run_id, "checkpoint/head_0.safetensors")).read_bytes() == bytes(range(256))
    assert list((project / "data" / "unsent").iterdir()) == []


@pytest.mark.usefixtures("project")
def test_what_cannot_be_sent_stays_and_is_sent_later(tmp_path: Path) -> None:
    place = unsent.keep(finished(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
        with pytest.raises(TrackingError, match="cannot be used") as caught:
            unsent.send(place)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert unsent.kept() == [place]
    assert parents() == []
    unsent.send(place)
    assert unsent.kept() == []
    assert len(runs()) == 3


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"experiment": 3}', b"\xff\xfe\x00"])
def test_what_cannot_be_read_is_one_line_that_names_it(tmp_path: Path, content: bytes) -> None:
    place = unsent.keep(finished(tmp_path))
    (place / "run.json").write_bytes(content)
    with pytest.raises(TrackingError, match=r"cannot be read .*remove it") as caught:
        unsent.send(place)
    assert str(place) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert unsent.kept() == [place]


@pytest.mark.usefixtures("project")
def test_what_lacks_a_file_is_one_line_and_stays(tmp_path: Path) -> None:
    place = unsent.keep(finished(tmp_path))
    shutil.rmtree(place / "artifacts" / "checkpoint")
    with pytest.raises(TrackingError, match="checkpoint") as caught:
        unsent.send(place)
    assert "\n" not in str(caught.value)
    assert unsent.kept() == [place]


def test_what_is_sent_late_ended_when_it_ended(project: Path) -> None:
    """So that a newer run of the same name, logged meanwhile, stays the newest."""
    unsent.send(unsent.keep(replace(finished(project), ended=1_000)))
    assert parent().info.end_time == 1_000


def test_what_was_logged_meanwhile_is_not_sent_again(project: Path) -> None:
    unsent.keep(finished(project, "a" * 64))
    other = unsent.keep(finished(project, "b" * 64))
    unsent.forget(finished(project, "a" * 64))
    unsent.forget(finished(project, "c" * 64))
    assert unsent.kept() == [other]
