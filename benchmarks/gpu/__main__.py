"""All that a GPU must show, in eight minutes.

    python -m benchmarks.gpu [--small] [--images VOC] [--weights FILE] [--json FILE] [--only PART ...]
    python -m benchmarks.gpu --pack FOLDER [--images VOC] [--weights FILE] [--mib 58]

Each part is a process of its own with a limit of its own, so that one that fails or hangs loses nothing of the others.
The table and the JSON are written after each of them. `--pack` fills a folder with what a machine lacks that has torch,
torchvision, safetensors, lightning, numpy and pillow alone.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple


class Part(NamedTuple):
    """A part: the module and function that yield its rows, and its limit in seconds."""

    module: str
    function: str
    seconds: int


PARTS = {
    "equality": Part("checks", "equality", 60),
    "modes": Part("checks", "modes", 60),
    "speed": Part("speed", "speed", 130),
    "feeding": Part("feeding", "feeding", 40),
    "evaluation": Part("feeding", "evaluating", 40),
    "training": Part("real_training", "real_training", 80),
    "compiled": Part("speed", "compiled", 60),
}
"""In this order; what matters most comes first. Their limits add up to less than eight minutes."""
PROJECTION = "projection"
SMALL_SECONDS = 600
"""The limit of a part of `--small`, where the machine may be busy."""


def main() -> None:
    """Runs all parts, or packs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="sizes for a first try on a CPU")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="Pascal VOC, or a part of it, in its layout")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="torchvision's mobilenet_v2 on ImageNet")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--pack", type=Path, metavar="FOLDER", help="fill it with what a GPU machine lacks; run nothing"
    )
    parser.add_argument("--python", default="3.12", metavar="VERSION", help="of the GPU machine, for --pack")
    parser.add_argument("--mib", type=float, default=58, help="what the folder of --pack may take, 58 by default")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    for named in (given.images, given.weights):
        if named is not None and not named.exists():
            parser.error(f"{named} does not exist")
    if given.pack is not None:
        from benchmarks.gpu.pack import pack

        pack(given.pack, given.images, given.weights, python=given.python, mib=given.mib)
    elif given.part:
        run_part(PARTS[given.part], given)
    else:
        run_all(given)


def run_all(given: argparse.Namespace) -> None:
    """Runs the parts one after the other, and prints and writes what is known after each."""
    from benchmarks.gpu.projection import projection
    from benchmarks.measure import Row, hardware, print_rows
    from ssul.io.atomic import write_json

    print(hardware(), flush=True)
    known: dict[str, list[Row]] = {}
    spare = 0.0
    for name in given.only:
        started, limit = time.monotonic(), SMALL_SECONDS if given.small else PARTS[name].seconds + spare
        found, failure = in_process(name, given, limit)
        spare = limit - (time.monotonic() - started)  # goes to the parts after it
        known[name] = [Row(**row) for row in found]
        if failure is not None:
            known[name].append(Row(f"{name} is incomplete", len(found) + 1, None, False, failure, "rows"))
        measured = [row for part, rows in known.items() for row in rows if part != PROJECTION]
        known = {part: rows for part, rows in known.items() if part != PROJECTION} | {
            PROJECTION: [*projection(measured)]
        }
        print(f"\n{name}: {time.monotonic() - started:.0f} s")
        print_rows(known[name])
        if given.json is not None:
            rows = [{"part": part} | asdict(row) for part, rows in known.items() for row in rows]
            write_json(given.json, rows)
    print(f"\n{hardware()}, all:")
    print_rows([row for rows in known.values() for row in rows])


def in_process(name: str, given: argparse.Namespace, limit: float) -> tuple[list[dict[str, Any]], str | None]:
    """The rows that a part has printed when it ends or its time is up, and in the second case or if it fails why."""
    words = [sys.executable, "-m", "benchmarks.gpu", "--part", name, *(["--small"] if given.small else [])]
    for option, path in (("--images", given.images), ("--weights", given.weights)):
        words += [] if path is None else [option, str(path)]
    environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # what deterministic algorithms ask for
    failure = None
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = subprocess.Popen(words, stdout=output, stderr=errors, env=environment, start_new_session=True)
        try:
            if code := started.wait(timeout=limit):
                errors.seek(0)
                failure = f"exit status {code}: {(errors.read().strip().splitlines() or [''])[-1][:300]}"
        except subprocess.TimeoutExpired:
            failure = f"stopped after {limit:.0f} s"
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)  # its loader processes too
                started.wait()
        output.seek(0)
        lines = output.read().splitlines()
    whole = [line for line in lines if line.startswith("{") and line.endswith("}")]  # one may be cut off
    for remark in (line for line in lines if not line.startswith("{")):
        print(remark)
    return [json.loads(line) for line in whole], failure


def run_part(part: Part, given: argparse.Namespace) -> None:
    """Prints each row of a part as JSON as soon as it is known."""
    from benchmarks.gpu.scale import Scale

    rows = getattr(importlib.import_module(f"benchmarks.gpu.{part.module}"), part.function)
    for row in rows(Scale.of(given.images, given.weights, small=given.small)):
        print(json.dumps(asdict(row)), flush=True)


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"{error.name} is missing: where there is a network, `python -m benchmarks.gpu --pack FOLDER` fills a "
            "folder with what is; run with PYTHONPATH=FOLDER here"
        ) from None
