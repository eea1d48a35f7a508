"""What every benchmark shares: taking turns, medians, the table, the hardware, the JSON."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what is compared.
        ratio: how many times as quick ours is, or what else `unit` says.
        target: what it should be; None where there is no aim.
        equal: whether both gave the same; None where there is nothing to compare.
        detail: the measured values, in words.
        unit: what the ratio is of.
        at_most: whether the target is an upper limit.
    """

    name: str
    ratio: float
    target: float | None
    equal: bool | None
    detail: str = ""
    unit: str = "times as quick"
    at_most: bool = False

    @property
    def reached(self) -> str:
        """Whether the target is met, for a person."""
        if self.target is None:
            return ""
        met = self.ratio <= self.target if self.at_most else self.ratio >= self.target
        return f"{'<=' if self.at_most else '>='} {self.target:g} {'met' if met else 'missed'}"


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes: a first answer in under a minute")
    size.add_argument("--smoke", action="store_true", help="the smallest sizes: whether both ways are equal, no timing")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each side is timed; the median counts")
    return parser


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """How long one call takes, the device's queue emptied before and after."""
    _wait(device)
    started = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - started


def take_turns(
    ours: Callable[[], object], textbook: Callable[[], object], *, rounds: int, device: torch.device
) -> tuple[float, float]:
    """Median seconds of both, measured alternately after a warm-up: what slows the machine down slows both."""
    for run in (ours, textbook):
        run()
    times = [(seconds_of(ours, device), seconds_of(textbook, device)) for _ in range(rounds)]
    return statistics.median(mine for mine, _ in times), statistics.median(other for _, other in times)


def print_table(title: str, rows: Sequence[Row], file: Path | None) -> None:
    """Prints the table with the hardware, and writes the JSON if a file is named."""
    print(f"\n{title}\n{hardware()}\n")
    print_rows(rows)
    if file is not None:
        kept = [{key: value for key, value in asdict(row).items() if key != "detail"} for row in rows]
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def print_rows(rows: Sequence[Row]) -> None:
    """Prints the rows, one a line."""
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        equal = {True: "equal", False: "NOT EQUAL", None: ""}[row.equal]
        print(f"{row.name:{width}}  {row.ratio:6.2f} {row.unit:16} {row.reached:16} {equal:9} {row.detail}", flush=True)


def hardware() -> str:
    """The machine, in words."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"{_processor()}, {torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
