"""The README and the pages that continue it are right: commands exist and compose, and the table is the report's."""

import io
import json
import re
import subprocess
import zipfile
from itertools import pairwise, product
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from ssul.cli.app import app
from ssul.config.load import load_params
from ssul.report.tables import markdown_steps
from tests.project import PROJECT, commands_in, git, unpack_committed_reports, write_params

README = (PROJECT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = (PROJECT / "docs" / "experiments.md").read_text(encoding="utf-8")
DATASETS = (PROJECT / "docs" / "datasets.md").read_text(encoding="utf-8")


def commands_of(*start: str) -> list[list[str]]:
    """What follows these words in the commands of the three pages."""
    lines = [words for page in (README, EXPERIMENTS, DATASETS) for words in commands_in(page)]
    found = {tuple(words[len(start) :]): None for words in lines if tuple(words[: len(start)]) == start}
    assert found, f"no page has a command {' '.join(start)}"
    return [list(words) for words in found]


def test_the_two_commands_that_do_everything_come_first() -> None:
    assert [words[0:2] for words in commands_in(README)[:2]] == [["make", "repro"], ["make", "test"]]


def test_the_readme_fits_a_first_visit() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("target", [words[0] for words in commands_of("make")] + ["setup", "check", "test-slow"])
def test_every_make_target_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ci_calls_the_test_command() -> None:
    assert "make test\n" in (PROJECT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", commands_of("dvc", "exp", "run"), ids=" ".join)
def test_every_experiment_composes_and_validates(words: list[str], tmp_path: Path) -> None:
    named = words[words.index("-n") : words.index("-n") + 2] if "-n" in words else []
    switches = [word for word in words if word not in ("--queue", *named)]
    assert switches[0::2] == ["-S"] * (len(switches) // 2)
    output = tmp_path / "params.yaml"
    for overrides in product(*map(choices, switches[1::2])):
        write_params(output, *overrides)
        load_params(output)


def choices(override: str) -> list[str]:
    """The overrides of a sweep: one for each value between commas; a list in brackets is one value."""
    name, _, value = override.partition("=")
    return [override] if value.startswith("[") else [f"{name}={one}" for one in value.split(",")]


@pytest.fixture(scope="module")
def little_voc(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The options that name small files: twenty masks of one class each, and one for validation."""
    root = tmp_path_factory.mktemp("voc")
    with zipfile.ZipFile(root / "masks.zip", "w") as archive:
        for class_id in range(21):
            buffer = io.BytesIO()
            Image.new("L", (2, 2), class_id).save(buffer, "PNG")
            archive.writestr(f"SegmentationClassAug/{class_id}.png", buffer.getvalue())
    (root / "val.txt").write_text("0\n", encoding="utf-8")
    return {"--masks": root / "masks.zip", "--lists": root}


ELSEWHERE = (
    "evidence",
    "table",
    "doctor",
    "predict",
    "convert",
    "new-method",
    "ui",
    "browse",
    "compare",
    "remote",
    "share",
    "fetch",
)
"""Run in tests/pipeline and tests/cli, because they need a checkpoint, a project or a store of MLflow."""


@pytest.mark.parametrize("words", [words for words in commands_of("ssul") if words[0] not in ELSEWHERE], ids=" ".join)
def test_every_ssul_command_runs(
    words: list[str], little_voc: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files replace the reader's own, and the committed reports those of the working copy."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "dvc.yaml").touch()
    if "show" in words:
        needs_git()
        unpack_committed_reports(tmp_path)
    given = [str(little_voc.get(before, word)) for before, word in pairwise(["", *words])]
    result = CliRunner().invoke(app, [*given, "--root", str(PROJECT if "scenarios" in words else tmp_path)])
    assert result.exit_code == 0, result.output


def needs_git() -> None:
    """Skips a test outside a git checkout of the project."""
    try:
        git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not in a git checkout of the project: {error}")


def tracked_files(group: str) -> list[Path]:
    """The files of a group that git tracks, because a user may have added others; without git, all of them."""
    folder = PROJECT / "conf" / group
    command = ["git", "ls-files", "-z", "*.yaml"]
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    return [folder / name for name in listed.split("\0") if name] or list(folder.glob("*.yaml"))


@pytest.mark.parametrize("group", ["scenario", "data", "model", "method", "memory", "recipe"])
def test_all_scenarios_and_choices_are_named(group: str) -> None:
    for path in tracked_files(group):
        assert f"`{path.stem}`" in EXPERIMENTS, f"conf/{group}/{path.name} is not in docs/experiments.md"


def test_the_table_is_the_committed_report_of_the_default_run() -> None:
    """An experiment changes the report of the working copy, not the committed one."""
    needs_git()
    shown = re.search(r"<!-- default run: begin -->\n(.*)\n<!-- default run: end -->", README, flags=re.DOTALL)
    assert shown is not None
    rows = json.loads(git("show", "HEAD:reports/miou_per_step.json"))
    assert shown.group(1).strip() == markdown_steps(rows).strip()


def test_every_relative_link_has_a_target() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (PROJECT / target).exists(), target
