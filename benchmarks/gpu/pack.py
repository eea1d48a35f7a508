"""Fills a folder with what a GPU machine lacks: libraries, and on request images and weights."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ssul.data.layout import ImagePaths
from ssul.datasets.catalog import find_dataset

LIBRARIES = ("annotated-types", "pydantic", "pydantic-core", "typing-extensions", "typing-inspection")
"""What the benchmark imports beside torch, torchvision, safetensors, lightning, numpy, pillow and what these need."""
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
IMAGES, WEIGHTS = "images", "mobilenet_v2.pth"
_MIB = 2**20


def pack(folder: Path, images: Path | None, weights: Path | None, *, python: str, mib: float) -> None:
    """Fills a folder and prints how to use it.

    Args:
        folder: is made; must not exist, or be empty.
        images: a folder in VOC's layout, which is copied.
        weights: a state dict of MobileNetV2, which is copied.
        python: the GPU machine's Python, such as 3.12, on Linux and x86-64.
        mib: what the folder may take; of more images an evenly spaced selection is copied.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: name a new folder")
    install(folder, python)
    command = [f"PYTHONPATH={folder.name}", "python", "-m", "benchmarks.gpu"]
    if weights is not None:
        shutil.copyfile(weights, folder / WEIGHTS)
        command += ["--weights", f"{folder.name}/{WEIGHTS}"]
    if images is not None:
        copied, found = copy_images(images, folder / IMAGES, mib * _MIB - bytes_in(folder))
        print(f"{copied} of {found} images")
        command += ["--images", f"{folder.name}/{IMAGES}"]
    print(f"{folder}: {bytes_in(folder) / _MIB:.0f} MiB; on the GPU machine, in a checkout that has it:")
    print(" ".join(command))


def install(folder: Path, python: str) -> None:
    """Unpacks the libraries' wheels for another machine, in the versions of constraints.txt."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line.partition("==")[0].lower().replace("_", "-") in LIBRARIES]
    words = ["install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", f"--target={folder}"]
    words += [f"--python-version={python}", "--implementation=cp", "--platform=manylinux2014_x86_64", *pinned]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)


def copy_images(source: Path, target: Path, room: float) -> tuple[int, int]:
    """Copies the images of both lists with their maps, or an evenly spaced selection of each list that has room.

    Args:
        source, target: folders in VOC's layout.
        room: bytes.

    Returns:
        How many images were copied, and how many there are.
    """
    lists = [ImagePaths(source, files) for files in (find_dataset("voc").train, find_dataset("voc").val)]
    whole = sum(
        path.stat().st_size for paths in lists for one in paths.read_list() or [] for path in files_of(paths, one)
    )
    share, copied, found = min(1.0, room / max(1, whole)), 0, 0
    for paths in lists:
        ids = paths.read_list() or []
        kept = [one for place, one in enumerate(ids) if int((place + 1) * share) > int(place * share)]
        for path in (path for one in kept for path in files_of(paths, one)):
            goal = target / path.relative_to(source)
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, goal)
        goal = target / str(paths.files.list)
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_text("".join(f"{one}\n" for one in kept), encoding="utf-8")
        copied, found = copied + len(kept), found + len(ids)
    return copied, found


def files_of(paths: ImagePaths, image_id: str) -> Iterator[Path]:
    """The files of an image that exist."""
    return filter(Path.exists, paths.files_of(image_id, saliency=paths.files.saliency is not None))


def bytes_in(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
