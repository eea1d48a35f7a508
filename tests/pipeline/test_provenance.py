"""Results are recorded under what they were made from, or not at all."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ssul.config.paths import LAYOUT
from ssul.errors import UserError
from ssul.pipeline.provenance import Provenance
from tests.project import PROJECT, composed_text

BASE, STEP = ("train_base",), ("train_step", "1")


@pytest.fixture(scope="module")
def params() -> str:
    return composed_text()


@pytest.fixture(autouse=True)
def _folder(params: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(PROJECT / "dvc.yaml", "dvc.yaml")
    Path("params.yaml").write_text(params, encoding="utf-8")
    described = (LAYOUT.checkpoint(0) / "model.json", LAYOUT.evaluation(0) / "results.json")
    for path in (LAYOUT.split(0), LAYOUT.memory(1), *described):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def set_parameter(name: str, value: object) -> None:
    content = yaml.safe_load(LAYOUT.params.read_text())
    *path, last = name.split(".")
    section = content
    for part in path:
        section = section[part]
    section[last] = value
    LAYOUT.params.write_text(yaml.safe_dump(content, sort_keys=False))


def refusal(provenance: Provenance) -> str:
    """The message of a refusal, which leaves no note of the parameters."""
    with pytest.raises(UserError) as refused:
        provenance.record()
    assert str(refused.value).isprintable()
    assert not LAYOUT.made_with(provenance.stage.name).exists()
    return str(refused.value)


def test_what_is_as_it_was_is_recorded() -> None:
    provenance = Provenance.read(*STEP)
    assert provenance.params.seed == yaml.safe_load(LAYOUT.params.read_text())["seed"]
    LAYOUT.params.touch()
    provenance.record()
    assert LAYOUT.made_with("train_step@1").is_file()


@pytest.mark.parametrize(
    ("words", "stage", "name"),
    [
        (("prepare",), "prepare", "data.shapes.train"),
        (("prepare",), "prepare", "data.root"),
        (("splits",), "splits", "data.holdout_seed"),
        (BASE, "train_base", "recipe.base.epochs"),
        (("select_memory", "2"), "select_memory@2", "memory.capacity"),
        (STEP, "train_step@1", "recipe.increment.epochs"),
        (("evaluate", "0"), "evaluate_base", "evaluation.examples"),
        (("evaluate", "1"), "evaluate_step@1", "evaluation.examples"),
        (("report", "2"), "report", "data.mirror"),
    ],
)
def test_a_parameter_that_the_stage_lists_must_stay(words: tuple[str, ...], stage: str, name: str) -> None:
    provenance = Provenance.read(*words)
    set_parameter(name, 99)
    assert refusal(provenance).startswith(f"{stage}: {name} changed while this ran; its results are refused")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("splits",), "data.root"),
        (BASE, "recipe.increment.epochs"),
        (STEP, "recipe.base.epochs"),
        (STEP, "evaluation.examples"),
        (("evaluate", "1"), "memory.capacity"),
    ],
)
def test_parameters_of_other_stages_may_be_edited_meanwhile(words: tuple[str, ...], name: str) -> None:
    provenance = Provenance.read(*words)
    set_parameter(name, 99)
    provenance.record()


@pytest.mark.parametrize("words", [("train_step", "3"), ("train_step",), ("report", "1"), ("evaluate", "base")])
def test_what_is_no_stage_with_these_parameters_is_named(words: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=rf"`python -m stages\.{' '.join(words)}` is no stage of dvc\.yaml"):
        Provenance.read(*words)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (BASE, LAYOUT.split(0)),
        (STEP, LAYOUT.memory(1)),
        (STEP, LAYOUT.checkpoint(0) / "model.json"),
        (("evaluate", "1"), LAYOUT.evaluation(0) / "results.json"),
    ],
    ids=str,
)
def test_data_that_are_replaced_or_taken_away_are_named(words: tuple[str, ...], path: Path) -> None:
    provenance = Provenance.read(*words)
    path.write_text("[]")
    assert str(path) in refusal(provenance)
    path.unlink()
    assert str(path) in refusal(provenance)


def test_code_that_is_edited_is_named(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("x = 1")
    provenance = Provenance.read(*STEP)
    one = replace(provenance, files={"ssul/code.py": code}, digests={"ssul/code.py": "another"})
    assert "ssul/code.py" in refusal(one)


@pytest.mark.parametrize("content", ["a: [", "{}", None])
def test_parameters_that_are_gone_or_half_written_are_not_those_that_were_read(content: str | None) -> None:
    provenance = Provenance.read(*STEP)
    LAYOUT.params.unlink()
    if content is not None:
        LAYOUT.params.write_text(content)
    assert "data.saliency, memory.annotation, " in refusal(provenance)


@pytest.mark.parametrize("method", ["ssul", "plop"])
def test_the_code_is_what_decides_the_result(method: str) -> None:
    LAYOUT.params.write_text(composed_text(f"method={method}"), encoding="utf-8")
    code = {name: path for name, path in Provenance.read(*STEP).files.items() if not name.startswith("data/")}
    assert {"stages/train_step.py", "ssul/training/loop.py", f"ssul/methods/{method}/increment.py"} <= set(code)
    carriers = ("ssul/pipeline/", "ssul/config/", "ssul/io/", "ssul/tracking/", "ssul/report/", "ssul/methods/mib/")
    assert not any(name.startswith(carriers) for name in code)
    assert all(path == PROJECT / name for name, path in code.items())
    assert not any(name.startswith("ssul/methods/") for name in Provenance.read(*BASE).files)


# ---- the outputs of the stages before -------------------------------------------------------------------------------


MADE = [("prepare",), ("splits",), BASE, STEP]


@pytest.fixture
def _made() -> None:
    """The stages up to the first increment have run."""
    for words in (*MADE, ("select_memory", "1")):
        Provenance.read(*words).record()


@pytest.mark.usefixtures("_made")
@pytest.mark.parametrize(
    ("name", "value", "words", "message"),
    [
        ("data.shapes.seed", 7, ("splits",), "data/drawn was made with data.shapes.seed=0, but params.yaml has 7: "),
        ("setting", "disjoint", BASE, "data/splits was made with setting=overlapped, but params.yaml has disjoint: "),
        (
            "recipe.base.lr",
            0.5,
            STEP,
            "data/checkpoints/step_0 was made with recipe.base.lr=0.05, but params.yaml has 0",
        ),
        (
            "memory.capacity",
            4,
            STEP,
            "data/memory/step_1.json was made with memory.capacity=0, but params.yaml has 4: ",
        ),
        (
            "recipe.increment.lr",
            0.5,
            ("evaluate", "1"),
            "data/checkpoints/step_1 was made with recipe.increment.lr=0.2",
        ),
        ("recipe.increment.lr", 0.5, ("report", "2"), "data/checkpoints/step_1 was made with recipe.increment.lr=0.2"),
        (
            "data.shapes",
            None,
            ("report", "2"),
            "data/drawn was made with data.shapes=nothing there, but params.yaml has",
        ),
    ],
)
def test_a_stage_refuses_what_other_parameters_have_made(
    name: str, value: object, words: tuple[str, ...], message: str
) -> None:
    set_parameter(name, value)
    with pytest.raises(UserError) as refused:
        Provenance.read(*words)
    text = str(refused.value)
    assert text.startswith(message)
    assert text.isprintable()
    for way_out in ("`dvc repro`", "`dvc checkout`", "`dvc repro --force --single-item "):
        assert way_out in text


@pytest.mark.usefixtures("_made")
def test_moved_data_are_the_same_data() -> None:
    for name, value in (("data.root", "/elsewhere"), ("data.download", True), ("data.on_error", "skip")):
        set_parameter(name, value)
    set_parameter("recipe.base.checkpoint", "/elsewhere/step_0")
    for words in MADE:
        Provenance.read(*words)


@pytest.mark.usefixtures("_made")
def test_outputs_of_unknown_parameters_are_accepted() -> None:
    """An earlier version made them, or they were brought here alone."""
    LAYOUT.made_with("train_base").unlink()
    set_parameter("recipe.base.lr", 0.5)
    Provenance.read(*STEP)


@pytest.mark.usefixtures("_made")
def test_a_damaged_note_is_named_with_the_way_to_make_it_anew() -> None:
    LAYOUT.made_with("train_base").write_text("[]")
    with pytest.raises(UserError, match=r"made_with/train_base\.json is damaged .*--single-item train_base`"):
        Provenance.read(*STEP)
