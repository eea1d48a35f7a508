"""`ssul new-method`: it writes a clean method, and refuses names that are taken or are none."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ssul.cli.new_method import new_method
from ssul.config.paths import Layout
from ssul.errors import UserError
from tests.project import PROJECT


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> None:
    """What tells a project's folder."""
    (tmp_path / "dvc.yaml").touch()


def test_what_it_writes_is_formatted_typed_code_for_every_name(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    for name in ("gentle", "a_method_with_a_rather_long_name"):
        new_method(name, tmp_path)
        files = Layout(tmp_path).method_files(name)
        assert all(path.exists() for path in files.values())
        code = [str(path.relative_to(tmp_path)) for path in files.values() if path.suffix == ".py"]
        for check in (["format", "--check"], ["check", "--config", 'lint.isort.known-first-party = ["ssul", "tests"]']):
            words = [sys.executable, "-m", "ruff", *check, *code]
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["Gentle", "2nd", "my-method", "lambda", "../up", ""])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no name for a method"):
        new_method(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.yaml"]


def test_a_taken_name_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is a method mib: choose another name than .*plop"):
        new_method("mib", tmp_path)
    new_method("gentle", tmp_path)
    with pytest.raises(UserError, match=r"ssul/methods/gentle/__init__\.py exists"):
        new_method("gentle", tmp_path)
