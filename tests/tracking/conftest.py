"""A project of its own for each test, with a real MLflow store."""

from pathlib import Path

import pytest

from tests.tracking.examples import own_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The main folder of a project in which nothing was logged yet."""
    root = tmp_path / "project with a space"
    own_project(root, monkeypatch)
    return root
