"""A base iteration on a CPU that keeps the memory of freed tensors, against the C library's defaults.

    python -m benchmarks.allocator [--quick] [--json FILE]

Each side is a process of its own, because what one leaves in the heap would serve the other; they take turns.
"""

import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks.base_step import BASE
from benchmarks.incremental_step import Size, batch_of, labels_of, network
from benchmarks.measure import Row, arguments, print_table
from ssul.inference.allocator import keep_freed_memory
from ssul.training.objective import Supervised

SMOKE, QUICK = Size("small", 64, 8, 1), Size("mobilenet_v2", 160, 16, 1)
FULL = (Size("small", 64, 16, 3), Size("mobilenet_v2", 160, 16, 3), Size("resnet50", 257, 4, 3))
WARM_UP, ITERATIONS = 2, 6


def iterate(size: Size) -> tuple[float, str]:
    """The median CPU seconds of an iteration up to the gradients, and a digest of them."""
    labels = labels_of(BASE)
    model = network(size, labels).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images, target = batch_of(size, labels, torch.device("cpu"))
    inputs, objective = images.contiguous(memory_format=torch.channels_last), Supervised(model, labels, "bce")
    times = []
    for _ in range(WARM_UP + ITERATIONS):
        model.zero_grad(set_to_none=True)
        torch.manual_seed(0)  # of the dropout
        started = time.process_time()
        torch.autograd.backward(objective(inputs, target).total)
        times.append(time.process_time() - started)
    digest = hashlib.sha256()
    for parameter in model.parameters():
        if parameter.grad is not None:
            digest.update(parameter.grad.contiguous().numpy().tobytes())
    return statistics.median(times[WARM_UP:]), digest.hexdigest()


def in_process(side: str, size: Size) -> tuple[float, str]:
    """What `iterate` returns in a new process."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.allocator",
        "--side",
        side,
        size.backbone,
        str(size.side),
        str(size.batch),
    ]
    seconds, digest = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), digest


def compare(sizes: Sequence[Size]) -> list[Row]:
    """A row for each size."""
    rows = []
    for size in sizes:
        kept, default = zip(
            *((in_process("kept", size), in_process("default", size)) for _ in range(size.rounds)), strict=True
        )
        equal = len({digest for _, digest in (*kept, *default)}) == 1
        mine, other = (statistics.median(seconds for seconds, _ in side) for side in (kept, default))
        name = f"{size.backbone}, {size.side} px, batch {size.batch}"
        rows.append(Row(name, other / mine, None, equal, f"{mine:.3f} against {other:.3f} CPU seconds an iteration"))
    return rows


def main() -> None:
    """Prints the table; with --side, one side's seconds and digest."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--side", nargs=4, metavar=("SIDE", "BACKBONE", "PX", "BATCH"), help="of one process")
    given = parser.parse_args()
    if given.side:
        side, backbone, pixels, batch = given.side
        if side == "kept":
            keep_freed_memory()
        print(*iterate(Size(backbone, int(pixels), int(batch), 1)))
        return
    sizes = (SMOKE,) if given.smoke else (QUICK,) if given.quick else FULL
    print_table(
        "freed memory kept, on a CPU",
        compare([replace(size, rounds=given.rounds or size.rounds) for size in sizes]),
        given.json,
    )


if __name__ == "__main__":
    main()
