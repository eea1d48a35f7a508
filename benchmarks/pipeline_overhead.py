"""What the pipeline costs when there is nothing to do: `dvc repro` and `dvc status` with 59 stages.

A clone of the project's files with the parameters of a scenario of 18 increments (as many as VOC 2-1 has). Every
output is there, small and made up, in as many files as the stages write; `dvc commit` takes them for finished, so that
no stage has to run. There is no textbook to compare with, only a limit in seconds; dvc's own start is a row too.

    python -m benchmarks.pipeline_overhead
"""

import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from dvc.repo import Repo

from benchmarks.measure import Row, arguments, print_table
from tests.pipeline.clone import Clone, make_clone, succeeded

TARGET = 3.5
INCREMENTS = 18
PICTURES = 8


def write(path: Path, content: bytes) -> None:
    """Writes a file, in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def finish(clone: Clone, increments: int) -> int:
    """Makes the clone look as after a scenario of so many increments; the number of its stages."""
    root = clone.root
    parameters: dict[str, Any] = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    parameters["scenario"] |= {
        "base_classes": 2,
        "increment": 1,
        "steps": {str(step): {"prev": step - 1} for step in range(1, increments + 1)},
        "last": increments,
    }
    (root / "params.yaml").write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
    for name in made_up(increments):
        write(root / "data" / name, f"made up: {name}\n".encode())
    for path in outputs(root):
        if not path.exists():  # a file that no list here needs to know
            write(path, f"made up: {path.name}\n".encode())
    succeeded(clone.dvc("commit", "--force"))
    succeeded(clone.command("git", "add", "-A"))
    succeeded(clone.command("git", "commit", "-qm", "finished"))
    lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))
    return len(lock["stages"])


def outputs(root: Path) -> list[Path]:
    """What the stages of dvc.yaml declare that they write: files and folders."""
    with Repo(str(root)) as repo:
        return [Path(out.fs_path) for stage in repo.index.stages for out in stage.outs]


def made_up(increments: int) -> list[str]:
    """The files below data/ that the stages of the scenario would leave in their folders, or as many."""
    names = ["drawn/none", "splits/summary.json"]
    for step in range(increments + 1):
        names += [f"splits/step_{step}.json", f"evaluation/step_{step}/results.json"]
        files = [
            "model.json",
            "training.json",
            "backbone.safetensors",
            *(f"head_{k}.safetensors" for k in range(3 + step)),
        ]
        names += [f"checkpoints/step_{step}/{file}" for file in files]
        pictures = ["image.jpg", "truth.png", *(f"step_{k}.png" for k in range(step + 1))]
        names += [f"evaluation/step_{step}/examples/{n}/{picture}" for n in range(PICTURES) for picture in pictures]
    return names


def measure(clone: Clone, name: str, *words: str, expected: str, target: float | None, rounds: int) -> Row:
    """How long a dvc command takes, each time in a process of its own; it must find nothing to do."""
    times, processor = [], []
    for _ in range(rounds + 1):
        started, used = time.perf_counter(), _processor_seconds()
        message = succeeded(clone.dvc(*words)).text
        times.append(time.perf_counter() - started)
        processor.append(_processor_seconds() - used)
        if expected not in message or "Running stage" in message:
            raise RuntimeError(f"dvc {' '.join(words)} should have found nothing to do:\n{message}")
    del times[0], processor[0]  # the first fills what dvc keeps between commands
    detail = f"{min(times):.2f} to {max(times):.2f}, of the processor {statistics.median(processor):.2f}"
    return Row(name, statistics.median(times), target, None, detail, unit="seconds", at_most=True)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measures and prints."""
    options = arguments(__doc__ or "").parse_args()
    rounds = options.rounds or (1 if options.smoke else 2 if options.quick else 9)
    with tempfile.TemporaryDirectory() as temporary:
        clone = make_clone(Path(temporary) / "clone")
        stages = finish(clone, 1 if options.smoke else INCREMENTS)
        rows = [
            measure(clone, name, *words, expected=expected, target=target, rounds=rounds)
            for name, words, expected, target in (
                (f"dvc repro, {stages} stages, nothing to do", ("repro",), "up to date", TARGET),
                (f"dvc status, {stages} stages, nothing changed", ("status",), "up to date", TARGET),
                ("dvc's own start: dvc stage --help", ("stage", "--help"), "usage", None),
            )
        ]
    print_table("What the pipeline costs when there is nothing to do", rows, options.json)


if __name__ == "__main__":
    main()
