"""Several processes share an evaluation, and write what one writes."""

import shutil

import pytest

from tests.pipeline.clone import Clone, digest, succeeded

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("processes", ["2", "3"])
def test_an_evaluation_by_several_processes_writes_the_same_bytes(
    clone: Clone, processes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clone.root / "data" / "evaluation" / "step_2"
    before = digest(folder)
    shutil.rmtree(folder)
    monkeypatch.setenv("SSUL_DEVICES", processes)
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    outcome = succeeded(clone.stage("evaluate", "2"))
    assert digest(folder) == before
    assert outcome.text.count("step 2: mIoU") == 1  # one of them speaks
    assert succeeded(clone.dvc("status", "evaluate_step@2")).text.strip().endswith("up to date.")
