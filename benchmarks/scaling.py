"""What an incremental iteration costs as the classes learned grow, and what a second process brings.

    python -m benchmarks.scaling [--quick] [--json FILE]

Half of the classes are learned at the base step, the others in ten steps. Targets are numbers of pixels up to 255, of
which the product refuses more than 253 classes; beyond that the network alone is measured, on synthetic targets of the
channels that learn. The textbook at 1,000 classes would hold several GiB and is left out.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.incremental_step import Lean, Size, Textbook, batch_of, labels_of, network, size_of
from benchmarks.measure import Row, arguments, print_table, seconds_of, take_turns
from ssul.inference.device import choose_device
from ssul.inference.processes import fabric_settings, launch
from ssul.labels.scores import candidate_channels
from ssul.labels.space import LabelSpace
from ssul.methods.ssul.frozen_teacher import FrozenTeacher
from ssul.methods.ssul.increment import learning_heads
from ssul.model.deeplab import upsample
from ssul.training.loop import learn_step
from ssul.training.losses import binary_cross_entropy

COUNTS = (16, 51, 151, 501, 1000)
WITH_TEXTBOOK = 151
STEPS = 10
GROWTH_TARGET = 1.3
ITERATIONS = 6
SMALL_ON_CPU = Size("resnet50", 257, 2, 5)


def groups_of(classes: int) -> tuple[int, ...]:
    """So many classes, half of them at the base step and the others in ten steps (in one, where they are few)."""
    if classes < 2 * STEPS:
        return (classes - 1, 1)
    each = classes // (2 * STEPS)
    return (classes - STEPS * each, *[each] * STEPS)


class NetworkAlone:
    """Our iteration, but for the labels: one frozen pass, the teacher's able channels, the loss of what learns."""

    def __init__(self, size: Size, groups: tuple[int, ...], device: torch.device) -> None:
        """Draws the network after the step before, and grows it."""
        self.labels, self.old = labels_of(groups), labels_of(groups[:-1])
        self.model = network(size, self.old).to(device)
        self.teacher = FrozenTeacher(self.model).to(device)
        self.model.grow(groups[-1])
        self.learning = learning_heads(self.labels)
        self.model.to(device).freeze_past(self.learning)
        self.model.freeze_norms()

    def run(self, images: Tensor, target: Tensor) -> None:
        """One iteration up to the gradients; target uint8 (B, H, W): positions among the channels that learn."""
        self.model.zero_grad(set_to_none=True)
        features = self.teacher.features(images)
        with torch.no_grad():
            scores = self.teacher.classify(features)
            for image, able in zip(scores, candidate_channels(self.old, scores, 0.7).cpu(), strict=True):
                upsample(image[None, able.to(image.device)], images).max(dim=1)
        logits = upsample(self.model.classify(features, self.learning), images)
        torch.autograd.backward(binary_cross_entropy(logits, target))


def growth(counts: Sequence[int], size: Size, device: torch.device) -> list[Row]:
    """The rows of the classes; each count takes turns with the fewest classes."""
    rows, sides = [], {}
    for classes in counts:
        groups = groups_of(classes)
        alone = NetworkAlone(size, groups, device)
        images, _ = batch_of(size, LabelSpace(((1,),), unknown=True, activation="sigmoid"), device)
        few = len(alone.labels.channels_of_heads(alone.learning))
        target = torch.randint(few, images.shape[-2:], generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        inputs = images.contiguous(memory_format=torch.channels_last)
        batch = target.expand(size.batch, -1, -1).to(device)
        sides[classes] = lambda alone=alone, inputs=inputs, batch=batch: alone.run(inputs, batch)
        if classes == COUNTS[0]:
            seconds_of(sides[classes], device)
            continue
        many, base = take_turns(sides[classes], sides[COUNTS[0]], rounds=size.rounds, device=device)
        aim = GROWTH_TARGET if classes <= WITH_TEXTBOOK else None
        detail = f"{many:.3f} s against {base:.3f} s; {weights_of(alone):.0f} MiB of weights"
        rows.append(
            Row(
                f"{classes} classes against {COUNTS[0]}", many / base, aim, None, detail, "times the cost", at_most=True
            )
        )
        if classes != WITH_TEXTBOOK:
            del sides[classes]
    return rows


def weights_of(alone: NetworkAlone) -> float:
    """What the network's weights take, in MiB."""
    return sum(float(part.numel() * part.element_size()) for part in alone.model.state_dict().values()) / 2**20


def against_textbook(size: Size, device: torch.device) -> list[Row]:
    """How both ways fare as classes are added."""
    rows = []
    for classes in (COUNTS[0], WITH_TEXTBOOK):
        labels, old = labels_of(groups_of(classes)), labels_of(groups_of(classes)[:-1])
        lean = Lean(network(size, old).to(device), old, labels.groups[-1])
        textbook = Textbook(network(size, old).to(device), labels)
        images, target = batch_of(size, labels, device)
        lean.objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mine, other = take_turns(
            lambda lean=lean, images=images, target=target: lean.gradients(images, target),  # type: ignore[misc]
            lambda textbook=textbook, images=images, target=target: textbook.gradients(images, target),  # type: ignore[misc]
            rounds=size.rounds,
            device=device,
        )
        rows.append(Row(f"{classes} classes, ours", other / mine, None, None, f"{mine:.3f} s against {other:.3f} s"))
    return rows


def share(side: int, backbone: str) -> None:
    """Trains an increment for some iterations, in as many processes as the environment asks; prints the seconds."""
    labels, old = labels_of((15, 1)), labels_of((15,))
    size = Size(backbone, side, 4, 1)
    lean = Lean(network(Size(backbone, side, 2, 1), old), old, labels.groups[-1])
    fabric = choose_device("32", fabric_settings())
    rank, processes = launch(fabric)
    images, target = batch_of(size, labels, torch.device("cpu"))
    batch = ((255 * images.sigmoid()).to(torch.uint8)[rank::processes], target[rank::processes])
    groups = lean.objective.model.parameter_groups(0.01, backbone_ratio=1.0, low_lr_head=None, low_lr_ratio=1.0)
    started, losses = 0.0, []
    for state in learn_step(
        lean.objective,
        [batch] * (ITERATIONS + 1),
        groups,
        fabric=fabric,
        normalisation=lean.objective.model.normalisation,
        iterations=ITERATIONS + 1,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="poly",
        seeds=lambda iteration: [31 * iteration + slot for slot in range(rank, size.batch, processes)],
    ):
        started = started or time.perf_counter()  # after the first one, which warms up
        losses.append(state.loss)
    if fabric.is_global_zero:
        print(f"{(time.perf_counter() - started) / ITERATIONS} {losses[-1]}")


def processes(side: int, backbone: str) -> list[Row]:
    """Two processes of one thread each, on a batch of 4, against one process of one thread and of two."""
    (two, loss), (single, expected), (double, _) = (measured(side, backbone, *how) for how in ((2, 1), (1, 1), (1, 2)))
    equal = abs(loss - expected) <= 1e-4 * abs(expected)  # two threads round otherwise
    return [
        Row("2 processes, 1 thread each, against 1", single / two, None, equal, f"{two:.3f} s against {single:.3f} s"),
        Row("2 processes against 1 with 2 threads", double / two, None, None, f"{two:.3f} s against {double:.3f} s"),
    ]


def measured(side: int, backbone: str, count: int, threads: int) -> list[float]:
    """Seconds of an iteration, and the last loss, of so many processes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", "--share", str(side), backbone],
        env={**os.environ, "SSUL_DEVICES": str(count), "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(value) for value in done.stdout.split()[-2:]]


def main() -> None:
    """Prints the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--share", nargs=2, metavar=("PIXELS", "BACKBONE"), help="used by itself")
    given = parser.parse_args()
    if given.share:
        side, backbone = given.share
        share(int(side), backbone)
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size_of(given, SMALL_ON_CPU, device)
    rows = growth(COUNTS[:2] if given.smoke else COUNTS, size, device)
    if not (given.smoke or given.quick):
        rows += against_textbook(size, device)
    if device.type == "cpu":
        rows += processes(129 if given.quick else size.side, size.backbone)
    print_table(
        f"scaling of an incremental iteration: {size.backbone}, {size.side} px, batch {size.batch}", rows, given.json
    )


if __name__ == "__main__":
    main()
