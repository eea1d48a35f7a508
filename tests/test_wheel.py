"""The wheel holds all that users need: outside the project it loads, predicts and exports."""

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ssul.prediction.model import load
from tests.project import PROJECT, git

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from pathlib import Path

import ssul

assert Path(ssul.__file__).is_relative_to(sys.prefix), ssul.__file__
model = ssul.load(sys.argv[1])
model.predict(sys.argv[2]).mask_image().save("mask.png")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree."""
    root = tmp_path_factory.mktemp("source")
    for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0"):
        if name.startswith("ssul/") or name in ("pyproject.toml", "README.md", "LICENSE"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes((PROJECT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", "."]
    done = subprocess.run(pip, cwd=root, capture_output=True, text=True, check=False)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("the build's setuptools cannot be fetched")
    assert done.returncode == 0, done.stderr[-2000:]
    (made,) = (root / "dist").glob("ssul-*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel, and sees the libraries of this one but not the project."""
    root = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    own = next(root.glob("lib/python*/site-packages"))
    shared = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_path("purelib")]
    (own / "shared.pth").write_text("".join(f"{path}\n" for path in shared), encoding="utf-8")
    python = root / "bin" / "python"
    pip = [sys.executable, "-m", "pip", f"--python={python}", "install", "-q", "--no-deps", "--force-reinstall"]
    subprocess.run([*pip, "--target", own, wheel], check=True, capture_output=True)
    return python


def test_it_holds_types_and_data_and_nothing_of_the_pipeline(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"ssul/py.typed", "ssul/model/small_backbone.safetensors", "ssul/tracking/served_model.py"} <= set(names)
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"ssul"}


def test_it_loads_predicts_and_exports_outside_any_repository(
    python: Path, onlooker: Callable[..., Path], photograph: NDArray[np.uint8], tmp_path: Path
) -> None:
    checkpoint, place = onlooker(), tmp_path / "elsewhere"
    place.mkdir()
    Image.fromarray(photograph).save(place / "photo.png")
    command = [str(python), "-P", "-c"]
    subprocess.run([*command, SCRIPT, checkpoint, "photo.png"], cwd=place, check=True)
    expected = load(checkpoint).predict(photograph).mask
    with Image.open(place / "mask.png") as mask:
        assert np.array_equal(mask, expected)
    cli = "from ssul.cli.app import main; main()"
    subprocess.run([*command, cli, "predict", checkpoint, "photo.png", "--out", "out"], cwd=place, check=True)
    with Image.open(place / "out" / "masks" / "photo.png") as mask:
        assert np.array_equal(mask, expected)
    subprocess.run([*command, cli, "export", checkpoint, "--format", "torch", "--out", "a.pt2"], cwd=place, check=True)
    assert (place / "a.pt2").stat().st_size > 10_000
