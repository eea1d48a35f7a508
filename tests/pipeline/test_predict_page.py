"""docs/predict.md and docs/python.md are right: what they say runs as typed, and predicts what the evaluation did."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.clone import Clone, succeeded
from tests.project import PROJECT

pytestmark = pytest.mark.slow

PAGES = "".join((PROJECT / "docs" / name).read_text(encoding="utf-8") for name in ("predict.md", "python.md"))


def blocks(part: str, language: str) -> list[str]:
    """The code blocks of a part of the pages."""
    marked = re.search(rf"<!-- {part}: begin -->\n(.*?)<!-- {part}: end -->", PAGES, flags=re.DOTALL)
    assert marked is not None
    found = re.findall(rf"```{language}\n(.*?)```", marked[1], flags=re.DOTALL)
    assert found
    return found


def script(clone: Clone, name: str, *code: str) -> None:
    """Runs code of the page in the clone."""
    (clone.root / name).write_text("\n".join(code), encoding="utf-8")
    succeeded(clone.command("python", name))


def mask(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def predicted(clone: Clone) -> Clone:
    """A clone after its first experiment and the commands of the page."""
    succeeded(clone.command("bash", "-ec", "".join(blocks("predict", "bash"))))
    return clone


def test_the_masks_are_the_examples_of_the_evaluation(predicted: Clone) -> None:
    examples = sorted((predicted.root / "data" / "evaluation" / "step_2" / "examples").iterdir())
    assert examples
    for place in examples:
        found = predicted.root / "data" / "predicted" / "masks" / f"{place.name}.png"
        assert np.array_equal(mask(found), mask(place / "step_2.png"))


def test_every_image_has_its_files(predicted: Clone) -> None:
    images = {path.stem for path in (predicted.root / "data" / "drawn" / "JPEGImages").iterdir()}
    for kind in ("masks", "overlays", "classes", "unknown"):
        assert {path.stem for path in (predicted.root / "data" / "predicted" / kind).iterdir()} == images


def test_the_python_runs(predicted: Clone) -> None:
    script(predicted, "example.py", *blocks("python", "python"))
    found = mask(predicted.root / "mask.png")
    assert np.array_equal(found, mask(predicted.root / "data" / "predicted" / "masks" / "val_00000.png"))


def test_an_experiment_is_named_by_its_run(predicted: Clone) -> None:
    image = "data/drawn/JPEGImages/val_00000.jpg"
    ask = "from ssul.tracking.collect import finished_runs; print(finished_runs()[0].tags['mlflow.runName'])"
    name = succeeded(predicted.command("python", "-c", ask)).text.strip()
    succeeded(predicted.command("ssul", "predict", name, image, "--out", "data/by_name"))
    one, other = (
        mask(predicted.root / "data" / folder / "masks" / "val_00000.png") for folder in ("by_name", "predicted")
    )
    assert np.array_equal(one, other)


def test_exports_run_as_the_page_says(predicted: Clone) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: ssul[onnx]")
    commands = "".join(blocks("export", "bash")).partition("\n")[2]  # without the installation
    succeeded(predicted.command("bash", "-ec", commands))
    check = "assert ids.shape == (1, *image.shape[:2]) and about['ssul']"
    script(predicted, "exported.py", *blocks("export", "python"), check)
