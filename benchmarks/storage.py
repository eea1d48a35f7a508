"""What the checkpoints of a long scenario take in DVC's cache, against the textbook's one whole file a step.

Eleven steps of ADE 100-5: random weights; at each increment everything is frozen but the heads of unknown, background
and the newest classes, as in training. The checkpoints go into the cache of a repository of their own by the real dvc,
which stores by content. The textbook way is in this file: torch.save of the whole state dict at each step.

    python -m benchmarks.storage
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import Row, arguments, print_table
from ssul.labels.space import LabelSpace
from ssul.model.checkpoint import load_checkpoint, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.torch_files import read_tensors

TARGET = 1.5
BASE, INCREMENT, STEPS = 100, 5, 11


def learn(model: IncrementalDeepLab, labels: LabelSpace) -> IncrementalDeepLab:
    """Another network with other weights in the heads that learn at an increment: a checkpoint is where steps meet."""
    learning = [labels.unknown_head, labels.background_head, len(labels.head_sizes) - 1]
    with torch.no_grad():
        for head in learning:
            for value in model.heads[head].state_dict().values():
                if value.is_floating_point():
                    value += 0.01 * torch.randn_like(value)
                else:
                    value += 1
    return model


def scenario(architecture: Architecture, folder: Path, others: Path) -> None:
    """Saves the checkpoints of all steps, ours in `folder` and the textbook's in `others`.

    Each step starts from what the step before left on the disk, as a stage does.
    """
    torch.manual_seed(0)
    labels = LabelSpace((tuple(range(1, BASE + 1)),), unknown=True, activation="sigmoid")
    model = IncrementalDeepLab(architecture, labels.head_sizes)
    for step in range(STEPS):
        if step:
            model, _ = load_checkpoint(folder / f"step_{step - 1}")
            start = 1 + len(labels.classes)
            labels = labels.with_step(range(start, start + INCREMENT))
            model.grow(INCREMENT)
            model.init_head_from_unknown(labels.unknown_head)
            model = learn(model, labels)
        save_checkpoint(folder / f"step_{step}", model, {"labels": labels.to_dict()})
        torch.save(model.state_dict(), others / f"step_{step}.pt")


def loads_back(folder: Path, others: Path) -> bool:
    """Whether each checkpoint holds what the textbook's file holds, bit for bit."""
    for step in range(STEPS):
        expected = read_tensors(others / f"step_{step}.pt")
        found = load_checkpoint(folder / f"step_{step}")[0].state_dict()
        if found.keys() != expected.keys() or not all(torch.equal(found[name], expected[name]) for name in expected):
            return False
    return True


def cached_bytes(repository: Path, paths: list[str]) -> int:
    """Adds paths to the cache of a new dvc repository; the bytes that it then takes."""
    dvc = [sys.executable, "-m", "dvc"]
    for words in (
        [*dvc, "init", "--quiet", "--no-scm"],
        [*dvc, "config", "core.analytics", "false"],
        [*dvc, "add", "--quiet", *paths],
    ):
        subprocess.run(words, cwd=repository, check=True, capture_output=True)
    return bytes_under(repository / ".dvc" / "cache")


def bytes_under(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(backbone: str, width: int) -> list[Row]:
    """The rows of one architecture."""
    architecture = Architecture(backbone=backbone, head="deeplabv3", output_stride=16, width=width)
    with tempfile.TemporaryDirectory() as temporary:
        ours, textbook = Path(temporary) / "ours", Path(temporary) / "textbook"
        ours.mkdir()
        textbook.mkdir()
        scenario(architecture, ours, textbook)
        equal = loads_back(ours, textbook)
        whole = (textbook / f"step_{STEPS - 1}.pt").stat().st_size
        mine = cached_bytes(ours, [f"step_{step}" for step in range(STEPS)])
        theirs = cached_bytes(textbook, [f"step_{step}.pt" for step in range(STEPS)])
    name, unit = f"{backbone}, {STEPS} steps in DVC's cache", "whole models"
    return [
        Row(
            name,
            mine / whole,
            TARGET,
            equal,
            f"{mine / 2**20:.0f} MiB; the last model whole: {whole / 2**20:.0f} MiB",
            unit,
            at_most=True,
        ),
        Row(f"{name}, the textbook way", theirs / whole, None, None, f"{theirs / 2**20:.0f} MiB", unit),
    ]


def main() -> None:
    """Measures and prints."""
    options = arguments(__doc__ or "").parse_args()
    backbones = {"resnet50": 256, "resnet101": 256}
    if options.quick or options.smoke:
        backbones = {"mobilenet_v2": 16 if options.smoke else 64}
    rows = [row for backbone, width in backbones.items() for row in measure(backbone, width)]
    print_table("Storage", rows, options.json)


if __name__ == "__main__":
    main()
