"""The console command."""

import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from ssul.cli import app as cli
from ssul.datasets.catalog import find_dataset
from ssul.evaluation.image_counts import write_counts
from ssul.report.evidence import Evidence, Result
from ssul.report.rows import SHOWN
from ssul.scenario.class_orders import published_orders
from ssul.tracking.experiment import Experiment
from ssul.tracking.finished import DatasetRecord, FinishedRun
from ssul.tracking.runs import log_finished
from tests.project import PROJECT
from tests.tracking.examples import SCORES

SHARED = PROJECT.parent / "shared"
MASKS = {"a": [1, 15], "b": [15], "c": [15, 20], "d": [20], "e": [], "v": [20, 1]}  # classes of VOC that each shows


class Output(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error line, which is the only output."""
        assert self.code == 1
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps in the JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)["steps"]


Command = Callable[..., Output]
Words = tuple[object, ...]


@pytest.fixture
def ssul(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, with its own cache."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def run(*words: object) -> Output:
        monkeypatch.setattr(sys, "argv", ["ssul", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Output(int(ended.value.code or 0), *capsys.readouterr())

    return run


def splits_of(root: Path, masks: Mapping[str, Sequence[int]]) -> Words:
    """`ssul splits` with VOC masks that show these classes; the image `v` is for validation."""
    with zipfile.ZipFile(root / "masks.zip", "w") as archive:
        for name, shown in masks.items():
            buffer = io.BytesIO()
            Image.fromarray(np.array([[0, 255, *shown]], dtype=np.uint8)).save(buffer, "PNG")
            archive.writestr(f"SegmentationClassAug/{name}.png", buffer.getvalue())
    (root / "lists").mkdir()
    (root / "lists" / "val.txt").write_text("v\n", encoding="utf-8")
    return ("splits", "--masks", root / "masks.zip", "--lists", root / "lists")


@pytest.fixture
def voc(tmp_path: Path) -> Words:
    return splits_of(tmp_path, MASKS)


@pytest.fixture
def one_each(tmp_path: Path) -> Words:
    """`ssul splits` with one mask of each of VOC's classes."""
    return splits_of(tmp_path, {str(class_id): [class_id] for class_id in range(1, 21)})


def conf_file(root: Path, name: str, content: object) -> Path:
    path = root / "conf" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


# --- show and scenarios -----------------------------------------------------------------------------------------------


def test_scenarios_are_listed_with_the_classes_of_each_step(ssul: Command) -> None:
    output = ssul("scenarios", "--root", PROJECT)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in output.out.splitlines()}
    assert output.code == 0
    assert set(lines) == {path.stem for path in (PROJECT / "conf" / "scenario").glob("*.yaml")}
    assert lines["voc_15-1"] == "15 + 1 + 1 + 1 + 1 + 1"
    assert lines["voc_5-3"] == "5 + 3 + 3 + 3 + 3 + 3"
    assert lines["ade_50-50"] == "50 + 50 + 50"
    assert lines["shapes_offline"] == "10"


QUICK = {"name": "quick", "base_classes": 8, "increment": 2, "order": "natural"}
OF_VOC = {"defaults": ["_self_", {"override /data": "voc"}]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"defaults": [{"override /data": "nowhere"}], "scenario": QUICK}, "'nowhere', which is not in the catalog"),
        (OF_VOC, "scenario must hold order, base_classes and increment"),
        ({**OF_VOC, "scenario": {**QUICK, "increment": 99}}, "scenario.increment is 99"),
        ({**OF_VOC, "scenario": {**QUICK, "increment": "x"}}, "scenario must hold"),
        ({"scenario": QUICK}, "config.yaml cannot be read"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_a_broken_scenario_is_named_and_the_others_are_listed(
    ssul: Command, tmp_path: Path, content: object, words: str
) -> None:
    broken = conf_file(tmp_path, "scenario/broken", content)
    conf_file(tmp_path, "scenario/voc_quick", {**OF_VOC, "scenario": QUICK})
    output = ssul("scenarios", "--root", tmp_path)
    assert output.code == 0
    assert output.out == "voc_quick        8 + 2 + 2 + 2 + 2 + 2 + 2\n"
    (line,) = output.err.splitlines()
    assert line.startswith(f"{broken} is left out: ")
    assert words in line


def test_a_scenario_without_a_dataset_has_the_default_dataset(ssul: Command, tmp_path: Path) -> None:
    conf_file(tmp_path, "scenario/quick", {"scenario": QUICK})
    conf_file(tmp_path, "config", "defaults: [{data: shapes}, _self_]\n")
    assert ssul("scenarios", "--root", tmp_path).out == "quick            8 + 2\n"


def reports_of(root: Path, run: str | None, table: str | None) -> None:
    """Writes what `ssul show` reads."""
    (root / "reports").mkdir()
    (root / "dvc.yaml").touch()
    for name, content in (("run", run), ("miou_per_step", table)):
        if content is not None:
            (root / "reports" / f"{name}.json").write_text(content)


ROW = {"step": 0, "learned": ["cat"]} | dict.fromkeys(SHOWN, 0.5)
RUN = json.dumps({"name": "mib voc_15-1 overlapped resnet101, seed 3", "setup": "0123"})


def test_show_names_the_run_of_the_reports_and_counts_steps_in_integers_and_compares_it_with_fine_tuning(
    ssul: Command, tmp_path: Path
) -> None:
    reports_of(tmp_path, RUN, json.dumps([ROW, ROW | {"step": 1, "learned": ["dog"], "new": None}]))
    (tmp_path / "params.yaml").write_text("seed: 4\n")  # edited since
    (tmp_path / "docs").mkdir()
    result = Result(0, (), "finetune", "0123", "", "", "", 0.5, {"old": 0.1, "new": 0.3, "all": 0.2}, None)
    Evidence({"toys": {"fine-tuning": [result]}}, {}).write(tmp_path / "docs" / "evidence.json")
    output = ssul("show", "--root", tmp_path)
    assert output.code == 0
    lines = output.out.splitlines()
    assert lines[0] == "mib voc_15-1 overlapped resnet101, seed 3: mean IoU and forgetting in percent"
    assert [line.split()[:2] for line in lines[3:5]] == [["0", "cat"], ["1", "dog"]]
    assert "for comparison, fine-tuning: old 10.0, new 30.0, all 20.0 (seeds: 1; docs/evidence.md)" in lines


@pytest.mark.parametrize(
    ("run", "table"),
    [
        *((RUN, content) for content in (None, "", "{}", "[{}]", '[{"step": NaN}]')),
        *((content, json.dumps([ROW])) for content in (None, "", "{}")),
    ],
)
def test_show_of_a_missing_or_damaged_report_names_the_way_out(
    ssul: Command, tmp_path: Path, run: str | None, table: str | None
) -> None:
    reports_of(tmp_path, run, table)
    assert "`dvc repro`" in ssul("show", "--root", tmp_path).error


def test_a_process_of_the_command_ends_with_code_1_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    code = "import sys; from ssul.cli.app import main; sys.argv[1:] = ['show']; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "`dvc repro`" in Output(done.returncode, done.stdout, done.stderr).error


@pytest.mark.parametrize(
    "words", [("show",), ("scenarios",), ("new-method", "mine"), ("evidence", "queue"), ("evidence", "tables")]
)
def test_outside_a_project_a_command_says_so_and_makes_nothing(ssul: Command, tmp_path: Path, words: Words) -> None:
    assert "is no ssul project, because it has no dvc.yaml" in ssul(*words, "--root", tmp_path).error
    assert not list(tmp_path.iterdir())


def test_reading_makes_no_store(ssul: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert f"there is no MLflow store {tmp_path / 'mlflow.db'}" in ssul("table", "--root", tmp_path).error
    assert not list(tmp_path.iterdir())


def test_the_version_is_printed(ssul: Command) -> None:
    assert re.fullmatch(r"ssul \d+\.\d+\S*\n", ssul("--version").out)


# --- splits -----------------------------------------------------------------------------------------------------------


def test_json_is_alone_on_stdout_and_holds_classes_and_counts(ssul: Command, voc: Words) -> None:
    output = ssul(*voc, "--scenario", "voc_19-1", "--json")
    assert output.code == 0
    assert json.loads(output.out) == {
        "scenario": "voc_19-1",
        "setting": "overlapped",
        "steps": [
            {"step": 0, "classes": list(range(1, 20)), "images": 3},  # a, b, c
            {"step": 1, "classes": [20], "images": 2},  # c, d; v is for validation
        ],
    }


@pytest.mark.parametrize(("setting", "images"), [("overlapped", [3, 2]), ("disjoint", [2, 2])])
def test_the_setting_decides_which_images_belong_to_a_step(
    ssul: Command, voc: Words, setting: str, images: list[int]
) -> None:
    output = ssul(*voc, "--scenario", "voc_19-1", "--json", "--setting", setting)
    assert [step["images"] for step in output.steps] == images
    assert json.loads(output.out)["setting"] == setting


def test_partitioned_images_are_assigned_by_the_seed(ssul: Command, tmp_path: Path) -> None:
    words = splits_of(tmp_path, {f"image_{number}": [1, 20] for number in range(40)})

    def counts(seed: int) -> list[int]:
        output = ssul(*words, "--scenario", "voc_19-1", "--setting", "partitioned", "--seed", seed, "--json")
        return [step["images"] for step in output.steps]

    assert sum(counts(0)) == 40
    assert counts(0) == counts(0)
    assert len({tuple(counts(seed)) for seed in range(4)}) > 1


def test_classes_are_in_learning_order(ssul: Command, one_each: Words) -> None:
    steps = ssul(*one_each, "--scenario", "voc_15-1_b", "--json").steps
    assert [step["classes"] for step in steps[1:]] == [[17], [3], [6], [18], [10]]
    assert [class_id for step in steps for class_id in step["classes"]] == list(published_orders("voc")["b"])


@pytest.mark.parametrize("between", [",", ", "])
def test_an_order_may_be_given_by_names_and_ids(ssul: Command, voc: Words, between: str) -> None:
    names = find_dataset("voc").classes
    listed = between.join(["tvmonitor", *names[1:10], *map(str, range(11, 20)), "1"])
    steps = ssul(*voc, "--scenario", "voc_19-1", "--order", listed, "--json").steps
    assert [class_id for step in steps for class_id in step["classes"]] == [20, *range(2, 20), 1]
    assert [step["images"] for step in steps] == [4, 1]


def test_the_text_has_a_line_for_each_step_with_its_images_and_classes(ssul: Command, voc: Words) -> None:
    lines = ssul(*voc, "--scenario", "voc_19-1").out.splitlines()
    assert lines[0] == "voc_19-1, overlapped: 5 training images"
    assert lines[2].startswith("step  0:      3 images for aeroplane, bicycle, ")
    assert lines[2].endswith("train (1 appear again later)")
    assert lines[3] == "step  1:      2 images for tvmonitor"
    assert lines[4] == "1 of 5 images are in no step"
    assert len(lines) == 5


def test_a_smaller_last_step_is_named_in_the_text_and_not_in_json(ssul: Command, one_each: Words) -> None:
    words = (*one_each, "--scenario", "voc_10-4")
    assert ssul(*words).out.endswith("increment=4: the last step learns the remaining 2\n")
    assert [len(step["classes"]) for step in ssul(*words, "--json").steps] == [10, 4, 4, 2]


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_classes_that_no_image_of_their_step_shows_are_warned_of(
    ssul: Command, voc: Words, words: tuple[str, ...]
) -> None:
    (line,) = ssul(*voc, "--scenario", "voc_19-1", *words).err.splitlines()
    assert line.startswith("warning: no training image of step 0 shows bicycle, bird, ")


def test_where_every_class_is_shown_there_is_no_warning(ssul: Command, one_each: Words) -> None:
    assert ssul(*one_each, "--scenario", "voc_19-1").err == ""


def test_an_image_list_of_a_windows_editor_names_the_same_images(ssul: Command, tmp_path: Path, voc: Words) -> None:
    words = (*voc, "--scenario", "voc_19-1", "--json")
    written_elsewhere = ssul(*words)
    (tmp_path / "lists" / "val.txt").write_bytes("\ufeffv\r\n".encode())
    assert ssul(*words) == written_elsewhere


def test_masks_are_scanned_once(ssul: Command, voc: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ssul(*voc, "--scenario", "voc_19-1", "--json")
    monkeypatch.setattr("ssul.datasets.image_check._decoded", None)
    assert ssul(*voc, "--scenario", "voc_19-1", "--json") == first


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "SegmentationClassAug.zip").is_file(), reason="VOC's masks are not here")
def test_vocs_15_1_has_the_published_numbers_of_images(ssul: Command) -> None:
    masks, lists = SHARED / "data" / "SegmentationClassAug.zip", SHARED / "data" / "voc_lists"
    words = ("splits", "--masks", masks, "--lists", lists, "--scenario", "voc_15-1", "--json", "--setting")
    disjoint, partitioned = ssul(*words, "disjoint").steps, ssul(*words, "partitioned").steps
    assert [step["images"] for step in disjoint] == [8437, 378, 299, 420, 500, 548]
    assert sum(step["images"] for step in disjoint) == sum(step["images"] for step in partitioned) == 10582


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("cityscapes_10-1", "'cityscapes', which is not in the catalog and not described in conf/data: choose ade, "),
        ("voc_15_1", "'voc_15_1' is not the name of a scenario"),
        ("voc_15-1_z", "scenario.order is 'z', which the dataset does not have: choose natural, b, c, "),
        ("voc_21-1", "scenario.base_classes is 21, but only 20 classes are learned"),
        ("voc_18-1", "step 1 has no training image: none shows train in the overlapped setting"),
    ],
)
def test_an_impossible_scenario_is_refused(ssul: Command, voc: Words, scenario: str, words: str) -> None:
    assert words in ssul(*voc, "--scenario", scenario).error
    assert words in ssul(*voc, "--scenario", scenario, "--json").error


def test_a_misspelt_class_of_the_order_is_answered_with_the_nearest_name(ssul: Command, voc: Words) -> None:
    assert "did you mean 'bicycle'?" in ssul(*voc, "--scenario", "voc_19-1", "--order", "bycicle,1").error


def test_missing_masks_and_lists_are_refused_with_the_way_out(ssul: Command, tmp_path: Path, voc: Words) -> None:
    error = ssul("splits", "--masks", tmp_path / "nowhere.zip", "--scenario", "voc_15-1").error
    assert "nowhere.zip holds no masks: give the masks' folder, or a zip or tar archive of it" in error
    error = ssul(*voc[:3], "--scenario", "voc_19-1", "--json").error  # validation and training are not separable
    assert "without val.txt" in error
    assert "--lists FOLDER" in error


def test_unusable_masks_are_counted_and_named(ssul: Command, tmp_path: Path) -> None:
    words = splits_of(tmp_path, {"a": [1], "b": [99], "c": [1]})
    error = ssul(*words, "--scenario", "voc_offline").error
    assert "1 of 3 images of " in error
    assert "b: its mask holds [99], valid are 0..20 and 255 (void)" in error
    assert "-S" not in error  # an option of dvc


# --- own datasets ----------------------------------------------------------------------------------------------------

TOWN = {
    "classes": ["house", "tree", "road"],
    "background": False,
    "first_value": 1,
    "void": 0,
    "train": {"image": "photos/{id}.jpg", "mask": "masks/{id}.png"},
    "val": {"image": "val/{id}.jpg", "mask": "val/{id}.png"},
}


def test_an_own_dataset_is_the_one_that_conf_describes(ssul: Command, tmp_path: Path) -> None:
    conf_file(tmp_path, "data/town", {"name": "town", "custom": TOWN})
    for name, pixels in {"aix/1": [1], "aix/2": [1, 2], "ulm/1": [3, 0], "ulm/2": [0]}.items():
        path = tmp_path / "masks" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([pixels], dtype=np.uint8)).save(path)
    words = ("splits", "--masks", tmp_path / "masks", "--root", tmp_path)
    assert ssul(*words, "--scenario", "town_1-1", "--order", "road,house,tree", "--json").steps == [
        {"step": 0, "classes": [3], "images": 1},
        {"step": 1, "classes": [1], "images": 2},
        {"step": 2, "classes": [2], "images": 1},
    ]
    assert "step  1:      1 images for road" in ssul(*words, "--scenario", "town_2-1").out


def test_a_scenario_of_an_own_dataset_is_listed_with_the_others(ssul: Command, tmp_path: Path) -> None:
    conf_file(tmp_path, "data/town", {"name": "town", "custom": TOWN})
    for name, data, base in (("voc_19-1", "voc", 19), ("my_quick_one", "town", 2)):
        scenario = {"name": name, "base_classes": base, "increment": 1, "order": "natural"}
        content = {"defaults": [{"override /data": data}], "scenario": scenario}
        conf_file(tmp_path, f"scenario/{name}", content)
    lines = ssul("scenarios", "--root", tmp_path).out.splitlines()
    assert [line.split() for line in lines] == [["my_quick_one", "2", "+", "1"], ["voc_19-1", "19", "+", "1"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"name": "town", "custom": {**TOWN, "void": 1}}, "void is 1, which is also the value of"),
        ("[1, 2", "town"),
        ("- town\n", "town"),
    ],
)
def test_an_invalid_description_is_refused_in_one_line(
    ssul: Command, tmp_path: Path, content: object, words: str
) -> None:
    conf_file(tmp_path, "data/town", content)
    assert words in ssul("splits", "--masks", tmp_path, "--root", tmp_path, "--scenario", "town_1-1").error


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--step", "0"), "cannot be read as tensors alone"),
        (("--step", "6"), "--step is 6, but voc_15-1 has the steps 0..5"),
        (("--step", "0", "--output-stride", "32"), "--output-stride is 32: choose 8 or 16"),
    ],
)
def test_an_invalid_import_is_refused_and_nothing_is_written(
    ssul: Command, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    (tmp_path / "weights.pth").write_bytes(b"not a checkpoint")
    asked = ("import-checkpoint", tmp_path / "weights.pth", "--scenario", "voc_15-1", "--out", tmp_path / "ours")
    assert named in ssul(*asked, *words).error
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--from", "published", "--step", "0"), "--from published needs --scenario and --step"),
        (("--from", "torchvision", "--step", "0"), "--from torchvision takes --classes in place of"),
        (("--from", "torchvision", "--output-stride", "16"), "torchvision's networks have 8"),
        (("--from", "smp"), "--from smp needs --output-stride"),
        (("--from", "torchvision", "--classes", "cat,,dog"), "--classes must hold different names"),
        (("--from", "smp", "--output-stride", "8"), "cannot be read as tensors alone"),
    ],
)
def test_options_of_an_import_that_do_not_fit_its_source_are_refused(
    ssul: Command, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    (tmp_path / "weights.pth").write_bytes(b"not a checkpoint")
    error = ssul("import-checkpoint", tmp_path / "weights.pth", "--out", tmp_path / "ours", *words).error
    assert named in error
    assert not (tmp_path / "ours").exists()


def test_the_evaluation_of_a_missing_checkpoint_is_refused(ssul: Command, tmp_path: Path) -> None:
    error = ssul("evaluate", tmp_path / "nowhere", "--data-root", tmp_path).error
    assert f"{tmp_path / 'nowhere'} is no checkpoint: name its folder" in error


# --- runs in MLflow --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with two finished runs in its store."""
    pytest.importorskip("mlflow")
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for method, score in (("finetune", 0.1), ("ssul", 0.6)):
            row = {"step": 0, "iou": {"background": score}, "holdout": None} | dict.fromkeys(SCORES, score)
            tags = {"scenario": "voc_15-1", "setting": "overlapped", "method": method, "model": "resnet101"}
            params = {"seed": 0, "scenario.base_classes": 1, "recipe.crop": 513}
            experiment = Experiment(fingerprint=method, name=method, tags=tags, params=params)
            folder = root / method
            folder.mkdir()
            right = round(10 * score)
            write_counts(folder, {"a": [(0, right, 10, right), (1, right, 10, right), (2, right, 10, right)]})
            artifacts = {"image_counts.json": folder / "image_counts.json"}
            log_finished(FinishedRun(experiment, (row,), (), DatasetRecord("voc", "0123", "somewhere", {}), artifacts))
        yield root


def test_all_runs_of_the_store_become_one_table_and_a_figure(
    ssul: Command, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(store))
    output = ssul("table", "--root", tmp_path)
    assert output.code == 0, output.err
    text = (tmp_path / "reports" / "results.md").read_text(encoding="utf-8")
    assert "| finetune | overlapped | resnet101 | 1 | 10.0 / 10.0 / 10.0 / 10.0 |" in text
    assert "| ssul | overlapped | resnet101 | 1 | 60.0 / 60.0 / 60.0 / 60.0 |" in text
    assert "| SSUL | overlapped | 77.3 / 36.6 / 67.6 / \u2013 | SSUL | SSUL, tables 1 and 2 |" in text
    assert "from 2 runs in MLflow" in text
    assert (tmp_path / "reports" / "results.png").is_file()
    assert "minus" not in text
    error = ssul("table", "--scenario", "voc_2-1", "--root", tmp_path).error
    assert "MLflow holds no finished run of this kind: `dvc exp run` makes one" in error


def test_lines_are_compared_over_the_counts_of_their_images(
    ssul: Command, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(store))
    row = "| voc_15-1 | ssul minus finetune |" + " +50.0 [+50.0, +50.0], 1 of 1 above 0 |" * 4
    assert row in ssul("table", "--against", "finetune", "--root", tmp_path).out
    assert (
        "no line is named 'mib': choose finetune, ssul" in ssul("table", "--against", "mib", "--root", tmp_path).error
    )


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("recipe.crop", "give NAME=VALUE"),
        ("recipe.crops=513", "names recipe.crops, which no run has: did you mean recipe.crop?"),
        ("recipe.crop=256", "MLflow holds no finished run of this kind"),
    ],
)
def test_runs_are_chosen_by_their_parameters(
    ssul: Command, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str, words: str
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(store))
    assert ssul("table", "--where", "recipe.crop=513", "--root", tmp_path).code == 0
    assert re.search(words, ssul("table", "--where", condition, "--root", tmp_path).error)
