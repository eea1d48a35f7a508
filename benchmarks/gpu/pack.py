"""Fills a folder with what a GPU machine lacks: libraries, and on request images and weights."""

import shutil
import subprocess
import sys
from pathlib import Path

LIBRARIES = (
    "annotated-types",
    "filelock",
    "lightning-fabric",
    "lightning-utilities",
    "pydantic",
    "pydantic-core",
    "pyyaml",
    "typing-extensions",
    "typing-inspection",
)
"""What the benchmark imports beside torch, torchvision, safetensors, numpy, pillow, tqdm and what these need."""
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
IMAGES, WEIGHTS = "images", "mobilenet_v2.pth"


def pack(folder: Path, images: Path | None, weights: Path | None, python: str) -> None:
    """Fills a folder and prints how to use it.

    Args:
        folder: is made.
        images: a folder in VOC's layout, which is copied.
        weights: a state dict of MobileNetV2, which is copied.
        python: the GPU machine's Python, such as 3.12, on Linux and x86-64.
    """
    pinned = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if _name(line) in LIBRARIES]
    platforms = [f"--platform={one}_x86_64" for one in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    words = ["install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--upgrade"]
    words += [f"--python-version={python}", "--implementation=cp", *platforms, f"--target={folder}", *pinned]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
    command = [f"PYTHONPATH={folder.name}", "python", "-m", "benchmarks.gpu"]
    if images is not None:
        shutil.copytree(images, folder / IMAGES, dirs_exist_ok=True, copy_function=shutil.copyfile)
        command += ["--images", f"{folder.name}/{IMAGES}"]
    if weights is not None:
        shutil.copyfile(weights, folder / WEIGHTS)
        command += ["--weights", f"{folder.name}/{WEIGHTS}"]
    mib = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    print(f"{folder}: {mib:.0f} MiB. Beside this checkout, on the GPU machine:\n{' '.join(command)}")


def _name(line: str) -> str:
    """The library that a line of constraints.txt pins, as LIBRARIES spells it."""
    return line.partition("==")[0].lower().replace("_", "-")
