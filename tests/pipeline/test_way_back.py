"""What a failed `prepare` has replaced comes back with the one command that it prints."""

import re
from pathlib import Path

import pytest

from ssul.config.paths import Layout
from ssul.pipeline.way_back import keep_params, name_way_back
from tests.pipeline.clone import TINY, Clone, Outcome, digest, succeeded, switches

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The working folder: a project in which dvc has run."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    layout = Layout()
    layout.lock.write_text("")
    return layout


def failing() -> None:
    with pytest.raises(SystemExit), name_way_back():
        raise SystemExit(1)


def test_an_experiment_names_the_parameters_that_it_has_replaced(
    here: Layout, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "calm-cat")
    failing()
    command = "cp data/cache/params.yaml params.yaml && dvc checkout --allow-missing prepare"
    assert capsys.readouterr().err == f"`{command}` brings back the parameters and data of before\n"


def test_after_an_edit_of_the_parameters_only_the_data_come_back(here: Layout, capsys: Captured) -> None:
    failing()
    assert capsys.readouterr().err.startswith("`dvc checkout --allow-missing prepare` brings back the data")


def test_nothing_is_said_where_nothing_is_lost(
    here: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    with name_way_back():
        pass
    monkeypatch.setenv("DVC_ROOT", str(tmp_path.parent))  # an experiment of the queue
    failing()
    monkeypatch.delenv("DVC_ROOT")
    here.lock.unlink()
    failing()
    assert capsys.readouterr().err == ""


def test_parameters_with_which_prepare_failed_do_not_replace_the_good_ones(here: Layout) -> None:
    keep_params(here)  # there are none yet
    assert not here.former_params.exists()
    for text, prepared, kept in (
        ("first", False, "first"),
        ("second", True, "second"),
        ("bad", False, "second"),
        ("third", True, "third"),
    ):
        here.params.write_text(text)
        here.initial_checkpoint.parent.mkdir(parents=True, exist_ok=True)
        here.initial_checkpoint.write_text("{}") if prepared else here.initial_checkpoint.unlink(missing_ok=True)
        keep_params(here)
        assert here.former_params.read_text() == kept


def prepare(clone: Clone, *overrides: str) -> Outcome:
    """A `dvc exp run` that ends after `prepare`."""
    return clone.dvc("exp", "run", *switches(*TINY, *overrides), "prepare")


@pytest.mark.slow
def test_the_printed_command_brings_everything_back(fresh: Clone) -> None:
    root = fresh.root
    succeeded(prepare(fresh, "data.shapes.seed=1"))  # not committed
    names = ("params.yaml", "dvc.lock")
    before = {name: (root / name).read_text() for name in names}, digest(root / "data" / "drawn")
    for _ in range(2):  # trying again loses nothing
        outcome = prepare(fresh, "data.name=voc", "data.root=nowhere")
        assert outcome.code == 255
    assert not list((root / "data" / "index").iterdir())
    command = re.search(r"^`(.*)` brings back the parameters and data of before$", outcome.text, flags=re.MULTILINE)
    assert command is not None, outcome.text
    succeeded(fresh.command("sh", "-c", command[1]))
    assert ({name: (root / name).read_text() for name in names}, digest(root / "data" / "drawn")) == before
    assert succeeded(fresh.dvc("repro", "prepare")).ran == []


@pytest.mark.slow
def test_after_a_failed_repro_dvc_alone_brings_the_data_back(fresh: Clone) -> None:
    succeeded(prepare(fresh))
    drawn, params = digest(fresh.root / "data" / "drawn"), fresh.root / "params.yaml"
    good = params.read_text()
    params.write_text(good.replace("root: null", "root: nowhere"))
    outcome = fresh.dvc("repro")
    assert outcome.code == 255
    assert not digest(fresh.root / "data" / "drawn")
    assert "`dvc checkout --allow-missing prepare` brings back the data of before" in outcome.text
    params.write_text(good)
    succeeded(fresh.dvc("checkout", "--allow-missing", "prepare"))
    assert digest(fresh.root / "data" / "drawn") == drawn
