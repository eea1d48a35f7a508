"""Images a second and peak memory of base step and increment, of ours and of the textbook loop."""

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch

from benchmarks import base_step
from benchmarks.base_step import gradients, textbook_loss
from benchmarks.gpu.checks import byte_batches
from benchmarks.gpu.scale import Scale
from benchmarks.incremental_step import CASES, GPU_TARGET, Lean, Textbook, batch_of, labels_of, network
from benchmarks.measure import Row, take_turns
from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.loop import learn_step
from ssul.training.objective import Objective, Supervised

WARM_UP = 3
BASE, LAST = "base step", "last increment"


class Case(NamedTuple):
    """A step of a scenario: the numbers of classes that each step so far learned, and the batch."""

    name: str
    groups: tuple[int, ...]
    batch: int

    @property
    def is_base(self) -> bool:
        """Whether everything learns."""
        return len(self.groups) == 1


def cases(scale: Scale) -> list[Case]:
    """The first and the last step of VOC 15-1 and of ADE 100-5."""
    voc, ade = CASES["voc_15-1_last"], CASES["ade_100-5_last"]
    return [
        Case(f"VOC 15-1, {BASE}", voc[:1], scale.voc_batch),
        Case(f"VOC 15-1, {LAST}", voc, scale.voc_batch),
        Case(f"ADE 100-5, {BASE}", ade[:1], scale.ade_batch),
        Case(f"ADE 100-5, {LAST}", ade, scale.ade_batch),
    ]


def speed(scale: Scale) -> Iterator[Row]:
    """For each step: the product's loop in both precisions, then the textbook's iteration in single."""
    for case in cases(scale):
        labels = labels_of(case.groups if case.is_base else case.groups[:-1])
        drawn = network(scale.speed, labels)
        for precision in ("32", "bf16"):
            yield from fitting(partial(loop_row, case, copy.deepcopy(drawn), precision, scale))
        yield from fitting(partial(textbook_row, case, drawn, scale))


def compiled(scale: Scale) -> Iterator[Row]:
    """The base step in bf16 against fp16 in the default layout, without and with torch.compile."""
    yield from base_step.compare(replace(scale.speed, batch=max(2, scale.ade_batch // 3)), scale.device)


def loop_row(case: Case, model: IncrementalDeepLab, precision: str, scale: Scale) -> Row:
    """Images a second of the product's loop: to the device, forward, backward, optimiser."""
    labels, size = labels_of(case.groups), replace(scale.speed, batch=case.batch)
    objective = objective_of(case, model)
    fabric, count = choose_device(precision), WARM_UP + scale.iterations
    batches = byte_batches(size, labels.num_channels, range(2))
    forget_peak(scale.device)
    stamps = [
        time.perf_counter()  # the loop has waited for the device, to know the loss
        for _ in learn_step(
            objective,
            [batches[place % 2] for place in range(count)],
            objective.parameter_groups(0.01, backbone_ratio=0.1),
            fabric=fabric,
            normalisation=model.normalisation,
            iterations=count,
            momentum=0.9,
            weight_decay=1e-4,
            schedule="poly",
            seeds=lambda iteration: [31 * iteration + slot for slot in range(size.batch)],
        )
    ]
    took = [later - earlier for earlier, later in zip(stamps[WARM_UP - 1 :], stamps[WARM_UP:], strict=False)]
    seconds = statistics.median(took)
    detail = f"{seconds:.3f} s an iteration of {case.batch}{peak_of(scale.device)}"
    return Row(f"{case.name}, {precision}", case.batch / seconds, None, None, detail, "images/s")


def textbook_row(case: Case, drawn: IncrementalDeepLab, scale: Scale) -> Row:
    """Ours against the textbook's iteration up to the gradients, both in single precision, and the peaks of both."""
    labels, device = labels_of(case.groups), scale.device
    images, target = batch_of(replace(scale.speed, batch=case.batch), labels, device)
    inputs = images.contiguous(memory_format=torch.channels_last)
    ours, theirs = (copy.deepcopy(drawn).to(device) for _ in range(2))
    objective = objective_of(case, ours).to(memory_format=torch.channels_last).train(case.is_base)  # type: ignore[call-overload]
    mine: Callable[[], object] = gradients(objective.model, lambda: objective(inputs, target).total, nullcontext())
    if case.is_base:
        theirs.train()
        other: Callable[[], object] = gradients(theirs, lambda: textbook_loss(theirs, images, target), nullcontext())
    else:
        textbook = Textbook(theirs, labels)
        other = lambda: textbook.gradients(images, target)  # noqa: E731
    peaks = []
    for run in (mine, other):
        run()
        forget_peak(device)
        run()
        peaks.append(peak_of(device))
    quick, slow = take_turns(mine, other, rounds=scale.speed.rounds, device=device)
    aim = None if case.is_base or device.type != "cuda" else GPU_TARGET
    detail = f"{quick:.3f} s{peaks[0]} against {slow:.3f} s{peaks[1]}"
    return Row(f"{case.name}, 32, against the textbook", slow / quick, aim, None, detail)


def objective_of(case: Case, model: IncrementalDeepLab) -> Objective:
    """What the step minimises; the network is the one before it."""
    if case.is_base:
        return Supervised(model, labels_of(case.groups), "bce")
    labels = labels_of(case.groups)
    return Lean(model, labels_of(case.groups[:-1]), labels.groups[-1]).objective


def fitting(measure: Callable[[], Row]) -> list[Row]:
    """A row; none, but a line, if the device has too little memory or does not compute in this precision."""
    try:
        return [measure()]
    except torch.cuda.OutOfMemoryError as error:
        print(f"does not fit: {str(error).splitlines()[0]}", flush=True)
    except UserError as error:
        print(error, flush=True)
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return []


def forget_peak(device: torch.device) -> None:
    """Measures the GPU's peak memory anew from here on."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_of(device: torch.device) -> str:
    """The GPU's peak memory, in words; nothing on a CPU."""
    return f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB" if device.type == "cuda" else ""
