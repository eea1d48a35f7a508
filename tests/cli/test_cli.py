"""The console command."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from ssul.cli import app as cli
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.scores import Scores
from ssul.scenario.class_orders import published_orders
from ssul.tracking.experiment import Experiment
from ssul.tracking.runs import DatasetRecord, FinishedRun, log_finished

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT.parent / "shared"
MASKS = {  # classes of VOC that each shows; 20 is a tvmonitor, 15 a person
    "a": [1, 15],
    "b": [15],
    "c": [15, 20],
    "d": [20],
    "e": [],
    "v": [20, 1],
}


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong."""
        assert self.code == 1
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line


Command = Callable[..., Said]


@pytest.fixture
def ssul(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, with a cache of its own."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["ssul", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Said(int(ended.value.code or 0), *capsys.readouterr())

    return run


def png(shown: Sequence[int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 255, *shown]], dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(path: Path, masks: Mapping[str, Sequence[int]], folder: str = "SegmentationClassAug") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, shown in masks.items():
            archive.writestr(f"{folder}/{name}.png", png(shown))
    return path


def val_list(tmp_path: Path) -> tuple[object, ...]:
    """The option for image lists that name `v` for validation."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "val.txt").write_text("v\n", encoding="utf-8")
    return ("--lists", tmp_path / "lists")


@pytest.fixture
def voc(tmp_path: Path) -> tuple[object, ...]:
    """What `ssul splits` is given for six masks of VOC, one of them for validation."""
    return ("splits", "--masks", zipped(tmp_path / "masks.zip", MASKS), *val_list(tmp_path))


def steps_of(said: Said) -> list[dict[str, Any]]:
    assert said.code == 0, said.err
    return json.loads(said.out)["steps"]


# --- show and scenarios -----------------------------------------------------------------------------------------------


def test_scenarios_are_listed_with_the_classes_of_each_step(ssul: Command) -> None:
    said = ssul("scenarios", "--root", PROJECT)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in said.out.splitlines()}
    assert said.code == 0
    assert set(lines) == {path.stem for path in (PROJECT / "conf" / "scenario").glob("*.yaml")}
    assert lines["voc_15-1"] == "15 + 1 + 1 + 1 + 1 + 1"
    assert lines["voc_5-3"] == "5 + 3 + 3 + 3 + 3 + 3"
    assert lines["ade_50-50"] == "50 + 50 + 50"
    assert lines["shapes_offline"] == "10"


def scenario_file(root: Path, name: str, content: object) -> None:
    (root / "conf" / "scenario").mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (root / "conf" / "scenario" / f"{name}.yaml").write_text(text, encoding="utf-8")


QUICK = {"name": "quick", "base_classes": 8, "increment": 2, "order": "natural"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"defaults": [{"override /data": "nowhere"}], "scenario": QUICK}, "'nowhere', which is not in the catalog"),
        ({"defaults": [{"override /data": "voc"}]}, "scenario must hold order, base_classes and increment"),
        ({"defaults": [{"override /data": "voc"}], "scenario": {**QUICK, "increment": 99}}, "scenario.increment is 99"),
        ({"defaults": [{"override /data": "voc"}], "scenario": {**QUICK, "increment": "x"}}, "scenario must hold"),
        ({"scenario": QUICK}, "config.yaml cannot be read"),
        ("", "config.yaml cannot be read"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_a_broken_scenario_is_named_and_the_others_are_listed(
    ssul: Command, tmp_path: Path, content: object, words: str
) -> None:
    scenario_file(tmp_path, "broken", content)
    scenario_file(tmp_path, "voc_quick", {"defaults": ["_self_", {"override /data": "voc"}], "scenario": QUICK})
    said = ssul("scenarios", "--root", tmp_path)
    assert said.code == 0
    assert said.out == "voc_quick        8 + 2 + 2 + 2 + 2 + 2 + 2\n"
    (line,) = said.err.splitlines()
    assert line.startswith(f"{tmp_path / 'conf' / 'scenario' / 'broken.yaml'} is left out: ")
    assert words in line


def test_a_scenario_that_brings_no_data_set_is_one_of_the_default_data_set(ssul: Command, tmp_path: Path) -> None:
    scenario_file(tmp_path, "quick", {"scenario": QUICK})
    (tmp_path / "conf" / "config.yaml").write_text("defaults: [{data: shapes}, _self_]\n", encoding="utf-8")
    assert ssul("scenarios", "--root", tmp_path).out == "quick            8 + 2\n"


def test_show_before_any_run_says_what_to_do(ssul: Command, tmp_path: Path) -> None:
    assert "`dvc repro`" in ssul("show", "--root", tmp_path).error


@pytest.mark.parametrize("content", ["", "[]", "{}", "[{}]", "[1]", '[{"step": NaN}]', "[" * 10_000])
def test_show_of_a_damaged_table_says_what_to_do(ssul: Command, tmp_path: Path, content: str) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "miou_per_step.json").write_text(content)
    assert "`dvc repro`" in ssul("show", "--root", tmp_path).error


def test_the_command_ends_with_code_1_and_one_line(tmp_path: Path) -> None:
    code = "import sys; from ssul.cli.app import main; sys.argv[1:] = ['show']; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


# --- splits -----------------------------------------------------------------------------------------------------------


def test_json_stands_alone_on_stdout_and_holds_classes_and_counts(ssul: Command, voc: tuple[object, ...]) -> None:
    said = ssul(*voc, "--scenario", "voc_19-1", "--json")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == {
        "scenario": "voc_19-1",
        "setting": "overlapped",
        "steps": [
            {"step": 0, "classes": list(range(1, 20)), "images": 3},  # a, b, c
            {"step": 1, "classes": [20], "images": 2},  # c, d; v is for validation
        ],
    }


@pytest.mark.parametrize(("setting", "images"), [("overlapped", [3, 2]), ("disjoint", [2, 2])])
def test_the_setting_decides_which_images_belong(
    ssul: Command, voc: tuple[object, ...], setting: str, images: list[int]
) -> None:
    said = ssul(*voc, "--scenario", "voc_19-1", "--json", "--setting", setting)
    assert [step["images"] for step in steps_of(said)] == images
    assert json.loads(said.out)["setting"] == setting


def test_partitioned_images_are_shared_out_by_the_seed(ssul: Command, tmp_path: Path) -> None:
    masks = zipped(tmp_path / "masks.zip", {f"image_{number}": [1, 20] for number in range(40)})
    words = ("splits", "--masks", masks, *val_list(tmp_path), "--scenario", "voc_19-1", "--setting", "partitioned")

    def counts(seed: int) -> list[int]:
        return [step["images"] for step in steps_of(ssul(*words, "--seed", seed, "--json"))]

    assert sum(counts(0)) == 40
    assert counts(0) == counts(0)
    assert len({tuple(counts(seed)) for seed in range(4)}) > 1


def test_classes_stand_in_learning_order(ssul: Command, tmp_path: Path) -> None:
    masks = zipped(tmp_path / "masks.zip", {str(class_id): [class_id] for class_id in range(1, 21)})
    words = ("splits", "--masks", masks, *val_list(tmp_path))
    steps = steps_of(ssul(*words, "--scenario", "voc_15-1_b", "--json"))
    assert [step["classes"] for step in steps[1:]] == [[17], [3], [6], [18], [10]]
    assert [class_id for step in steps for class_id in step["classes"]] == list(published_orders("voc")["b"])


@pytest.mark.parametrize("between", [",", ", "])
def test_an_order_may_be_given_by_names_and_ids(ssul: Command, voc: tuple[object, ...], between: str) -> None:
    names = find_dataset("voc").classes
    listed = between.join(["tvmonitor", *names[1:10], *map(str, range(11, 20)), "1"])
    steps = steps_of(ssul(*voc, "--scenario", "voc_19-1", "--order", listed, "--json"))
    assert [class_id for step in steps for class_id in step["classes"]] == [20, *range(2, 20), 1]
    assert [step["images"] for step in steps] == [4, 1]


def test_in_words_each_step_is_a_line_with_its_classes(ssul: Command, voc: tuple[object, ...]) -> None:
    said = ssul(*voc, "--scenario", "voc_19-1")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "voc_19-1, overlapped: 5 training images"
    assert lines[2].startswith("step  0:      3 images for aeroplane, bicycle, ")
    assert lines[2].endswith("train (1 appear again later)")
    assert lines[3] == "step  1:      2 images for tvmonitor"
    assert lines[4] == "1 of 5 images are in no step"
    assert len(lines) == 5


def test_what_does_not_divide_is_told_in_words_and_not_in_json(ssul: Command, tmp_path: Path) -> None:
    masks = zipped(tmp_path / "masks.zip", {str(class_id): [class_id] for class_id in range(1, 21)})
    words = ("splits", "--masks", masks, *val_list(tmp_path), "--scenario", "voc_10-4")
    assert ssul(*words).out.endswith("increment=4: the last step learns the remaining 2\n")
    assert [len(step["classes"]) for step in steps_of(ssul(*words, "--json"))] == [10, 4, 4, 2]


def test_masks_are_looked_at_once(ssul: Command, voc: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    first = ssul(*voc, "--scenario", "voc_19-1", "--json")
    monkeypatch.setattr("ssul.datasets.image_check._decoded", None)
    assert ssul(*voc, "--scenario", "voc_19-1", "--json") == first


# --- own datasets ----------------------------------------------------------------------------------------------------

TOWN = {
    "classes": ["house", "tree", "road"],
    "background": False,
    "first_value": 1,
    "void": 0,
    "train": {"image": "photos/{id}.jpg", "mask": "masks/{id}.png"},
    "val": {"image": "val/{id}.jpg", "mask": "val/{id}.png"},
}


def town_root(root: Path, content: object) -> Path:
    (root / "conf" / "data").mkdir(parents=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (root / "conf" / "data" / "town.yaml").write_text(text, encoding="utf-8")
    return root


def town_masks(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, pixels in {"aix/1": [1], "aix/2": [1, 2], "ulm/1": [3, 0], "ulm/2": [0]}.items():
            buffer = io.BytesIO()
            Image.fromarray(np.array([pixels], dtype=np.uint8)).save(buffer, "PNG")
            archive.writestr(f"masks/{name}.png", buffer.getvalue())
    return path


def test_an_own_data_set_is_the_one_that_conf_describes(ssul: Command, tmp_path: Path) -> None:
    root = town_root(tmp_path / "project", {"name": "town", "custom": TOWN})
    words = ("splits", "--masks", town_masks(tmp_path / "masks.zip"), "--root", root)
    said = ssul(*words, "--scenario", "town_1-1", "--order", "road,house,tree", "--json")
    assert steps_of(said) == [
        {"step": 0, "classes": [3], "images": 1},
        {"step": 1, "classes": [1], "images": 2},
        {"step": 2, "classes": [2], "images": 1},
    ]
    assert "step  1:      1 images for road" in ssul(*words, "--scenario", "town_2-1").out


def test_a_scenario_of_an_own_data_set_is_listed_beside_the_others(ssul: Command, tmp_path: Path) -> None:
    root = town_root(tmp_path / "project", {"name": "town", "custom": TOWN})
    (root / "conf" / "scenario").mkdir()
    for name, data, base in (("voc_19-1", "voc", 19), ("my_quick_one", "town", 2)):
        content = {
            "defaults": [{"override /data": data}],
            "scenario": {"name": name, "base_classes": base, "increment": 1, "order": "natural"},
        }
        (root / "conf" / "scenario" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    assert [line.split() for line in ssul("scenarios", "--root", root).out.splitlines()] == [
        ["my_quick_one", "2", "+", "1"],
        ["voc_19-1", "19", "+", "1"],
    ]


def test_the_fault_of_a_description_is_told_in_one_line(ssul: Command, tmp_path: Path) -> None:
    root = town_root(tmp_path / "project", {"name": "town", "custom": {**TOWN, "void": 1}})
    said = ssul("splits", "--masks", tmp_path, "--root", root, "--scenario", "town_1-1")
    assert "void is 1, which is also the value of" in said.error


@pytest.mark.parametrize("content", ["", "[1, 2", "- town\n", "town\n"])
def test_a_data_file_that_describes_nothing_is_refused_in_one_line(ssul: Command, tmp_path: Path, content: str) -> None:
    root = town_root(tmp_path / "project", content)
    said = ssul("splits", "--masks", tmp_path, "--root", root, "--scenario", "town_1-1")
    assert "town" in said.error


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("cityscapes_10-1", "'cityscapes', which is not in the catalog: choose shapes, voc, ade"),
        ("15-1", "'15-1' is not the name of a scenario"),
        ("voc_15_1", "'voc_15_1' is not the name of a scenario"),
        ("voc_15-1_z", "scenario.order is 'z', which the dataset does not have: choose natural, b, c, "),
        ("voc_21-1", "scenario.base_classes is 21, but the dataset has 20 classes"),
        ("voc_0-1", "scenario.base_classes is 0, but the dataset has 20 classes"),
        ("voc_15-6", "scenario.increment is 6, but 5 of 20 classes are left"),
        ("voc_18-1", "step 1 has no training image: none shows train in the overlapped setting"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(
    ssul: Command, voc: tuple[object, ...], scenario: str, words: str
) -> None:
    assert words in ssul(*voc, "--scenario", scenario).error
    assert words in ssul(*voc, "--scenario", scenario, "--json").error


def test_a_misspelt_class_of_the_order_is_answered_with_the_near_one(ssul: Command, voc: tuple[object, ...]) -> None:
    said = ssul(*voc, "--scenario", "voc_19-1", "--order", "bycicle,1")
    assert "the class 'bycicle', which the dataset does not have (did you mean 'bicycle'?)" in said.error


def test_masks_that_are_not_there_are_refused(ssul: Command, tmp_path: Path) -> None:
    said = ssul("splits", "--masks", tmp_path / "nowhere.zip", "--scenario", "voc_15-1")
    assert "nowhere.zip holds no masks: give the masks' folder, or a zip or tar archive of it" in said.error


def test_without_the_lists_that_tell_validation_from_training_nothing_is_counted(ssul: Command, tmp_path: Path) -> None:
    masks = zipped(tmp_path / "masks.zip", MASKS)
    said = ssul("splits", "--masks", masks, "--scenario", "voc_19-1", "--json")
    assert "without val.txt" in said.error
    assert "--lists FOLDER" in said.error


def test_masks_that_cannot_be_used_are_counted_and_named(ssul: Command, tmp_path: Path) -> None:
    masks = zipped(tmp_path / "masks.zip", {"a": [1], "b": [99], "c": [1]})
    told = ssul("splits", "--masks", masks, *val_list(tmp_path), "--scenario", "voc_offline").error
    assert "1 of 3 images of " in told
    assert "b: its mask holds [99], valid are 0..20 and 255 (void)" in told
    assert told.endswith("Mend these masks, or take their ids out of the image list")  # and none of -S, which dvc has


# --- the published numbers --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "SegmentationClassAug.zip").is_file(), reason="VOC's masks are not here")
def test_vocs_15_1_has_the_published_numbers_of_images(ssul: Command) -> None:
    words = (
        "splits",
        "--masks",
        SHARED / "data" / "SegmentationClassAug.zip",
        "--lists",
        SHARED / "data" / "voc_lists",
    )
    disjoint = steps_of(ssul(*words, "--scenario", "voc_15-1", "--setting", "disjoint", "--json"))
    assert [step["images"] for step in disjoint] == [8437, 378, 299, 420, 500, 548]
    partitioned = steps_of(ssul(*words, "--scenario", "voc_15-1", "--setting", "partitioned", "--json"))
    assert sum(step["images"] for step in disjoint) == sum(step["images"] for step in partitioned) == 10582


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_published_checkpoint_is_refused_and_nothing_is_written(
    ssul: Command, tmp_path: Path
) -> None:
    (tmp_path / "weights.pth").write_bytes(b"no checkpoint")
    words = ("import-checkpoint", tmp_path / "weights.pth", "--scenario", "voc_15-1", "--out", tmp_path / "ours")
    assert "cannot be read as tensors alone" in ssul(*words, "--step", "0").error
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--step", "6"), "--step is 6, but voc_15-1 has the steps 0..5"),
        (("--step", "0", "--output-stride", "32"), "--output-stride is 32: choose 8 or 16"),
    ],
)
def test_what_a_published_checkpoint_cannot_be_is_refused(
    ssul: Command, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    asked = ("import-checkpoint", tmp_path / "weights.pth", "--scenario", "voc_15-1", "--out", tmp_path / "ours")
    assert told in ssul(*asked, *words).error


def test_a_missing_checkpoint_is_not_judged(ssul: Command, tmp_path: Path) -> None:
    told = ssul("evaluate", tmp_path / "nowhere", "--data-root", tmp_path).error
    assert f"the checkpoint {tmp_path / 'nowhere'} is missing" in told


# --- what MLflow holds -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with two finished runs in its store."""
    pytest.importorskip("mlflow")
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for method, score in (("finetune", 0.1), ("ssul", 0.6)):
            log_finished(finished_run(method, score))
        yield root


@pytest.fixture
def in_store(store: Path, ssul: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in that project."""
    monkeypatch.setenv("DVC_ROOT", str(store))
    return ssul


def finished_run(method: str, score: float) -> FinishedRun:
    names = [field.name for field in fields(Scores) if field.type == float | None]
    row = {"step": 0, "iou": {}, "holdout": None} | dict.fromkeys(names, score)
    tags = {"scenario": "voc_15-1", "setting": "overlapped", "method": method, "model": "resnet101"}
    experiment = Experiment(fingerprint=method, name=method, tags=tags, params={"seed": 0})
    return FinishedRun(experiment, (row,), (), DatasetRecord("voc", "0123", "somewhere", {}), {})


def test_all_runs_of_the_store_become_one_table_and_a_figure(tmp_path: Path, in_store: Command) -> None:
    said = in_store("table", "--root", tmp_path)
    assert said.code == 0, said.err
    text = (tmp_path / "reports" / "results.md").read_text(encoding="utf-8")
    assert "| finetune | overlapped | resnet101 | 1 | 10.0 / 10.0 / 10.0 |" in text
    assert "| ssul | overlapped | resnet101 | 1 | 60.0 / 60.0 / 60.0 |" in text
    assert "*77.3 / 36.6 / 67.6*" in text
    assert "from 2 runs in MLflow" in text
    assert (tmp_path / "reports" / "results.png").is_file()


def test_runs_of_no_such_scenario_are_refused_with_the_way_out(tmp_path: Path, in_store: Command) -> None:
    said = in_store("table", "--scenario", "voc_2-1", "--root", tmp_path)
    assert said.code == 1
    assert said.error.startswith("error: MLflow holds no finished run of this kind: `dvc exp run` makes one")
