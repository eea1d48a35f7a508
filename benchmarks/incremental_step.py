"""An iteration of SSUL's increment against the published loop: two whole networks, a one-hot target, all channels.

python -m benchmarks.incremental_step [--quick] [--json FILE]
"""

import argparse
import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measure import Row, arguments, print_table, seconds_of, take_turns
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.ssul.frozen_teacher import fold_norms
from ssul.methods.ssul.increment import prepare_increment
from ssul.model.deeplab import Architecture, IncrementalDeepLab

THRESHOLD = 0.7
CASES = {  # the classes that each step learned, the last one's too
    "voc_15-1_last": (15, 1, 1, 1, 1, 1),
    "ade_100-5_last": (100, *(5,) * 10),
}
TARGETS = {"voc_15-1_last": 2.5, "ade_100-5_last": 3.8}
MEMORY_BATCH = 6
EXACT = 1e-6  # relative; the textbook's one-hot target is single precision
GPU_TARGET, MEMORY_TARGET, GROWTH_TARGET = 4.0, 0.4, 1.3


@dataclass(frozen=True)
class Size:
    """How large the comparison is."""

    backbone: str
    side: int
    batch: int
    rounds: int


SMOKE, QUICK = Size("mobilenet_v2", 97, 2, 1), Size("resnet50", 257, 2, 3)
FULL, GPU = Size("resnet101", 513, 2, 5), Size("resnet101", 513, 16, 7)


def size_of(options: argparse.Namespace, full: Size, device: torch.device) -> Size:
    """The size that the options ask for.

    Args:
        options: of the command line.
        full: the full size on a CPU.
        device: where it is measured.
    """
    size = SMOKE if options.smoke else QUICK if options.quick else GPU if device.type == "cuda" else full
    return replace(size, rounds=options.rounds or size.rounds)


def network(size: Size, labels: LabelSpace) -> IncrementalDeepLab:
    """A network drawn at random, with norms that know their statistics and logits as after a training.

    A class's logits lie around -8 with a spread of 2, as where it is not to be seen; every eighth class's around 0.
    """
    torch.manual_seed(0)
    model = IncrementalDeepLab(Architecture(size.backbone, "deeplabv3", 16, 256), labels.head_sizes)
    images, _ = batch_of(size, labels, torch.device("cpu"))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        seen = model.head_input(model.train().features(images))
        channel = 0
        for head in model.heads:
            head(seen)
        for head in model.eval().heads:
            assert isinstance(head.classifier, nn.Conv2d)
            assert head.classifier.bias is not None
            spread, centre = torch.std_mean(head(seen), dim=(0, 2, 3))
            wanted = torch.tensor([0.0 if (channel + place) % 8 == 0 else -8.0 for place in range(len(centre))])
            head.classifier.weight.mul_((2 / spread)[:, None, None, None])
            head.classifier.bias.copy_((head.classifier.bias - centre) * 2 / spread + wanted)
            channel += len(centre)
    return model


def labels_of(groups: tuple[int, ...]) -> LabelSpace:
    """The label space after steps of so many classes."""
    ends = [sum(groups[: step + 1]) for step in range(len(groups))]
    ids = [tuple(range(end - size + 1, end + 1)) for end, size in zip(ends, groups, strict=True)]
    return LabelSpace(tuple(ids), unknown=True, activation="sigmoid")


def batch_of(size: Size, labels: LabelSpace, device: torch.device) -> tuple[Tensor, Tensor]:
    """Noise, and a target as `encode` makes it: unknown, background, the newest classes, some void."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size.batch, 3, size.side, size.side, generator=generator)
    values = torch.tensor([0, 1, *range(labels.num_channels - len(labels.groups[-1]), labels.num_channels), VOID])
    coarse = torch.randint(len(values), (size.batch, 1, 9, 9), generator=generator).float()
    chosen = functional.interpolate(coarse, size=(size.side, size.side), mode="nearest")[:, 0].long()
    return images.to(device), values.to(torch.uint8)[chosen].to(device)


class Textbook:
    """The published loop over the same network."""

    def __init__(self, model: IncrementalDeepLab, labels: LabelSpace) -> None:
        """Takes the network of the step before, and its label space after this one."""
        self.teacher = copy.deepcopy(model).requires_grad_(False).eval()
        self.student = model
        model.grow(len(labels.groups[-1]))
        model.init_head_from_unknown(parent=0)
        learning = (0, 1, len(labels.head_sizes) - 1)
        model.requires_grad_(False)
        for head in learning:
            for name, parameter in model.heads[head].named_parameters():
                parameter.requires_grad_(not name.startswith("norm"))
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.classes = labels.num_channels

    def gradients(self, images: Tensor, target: Tensor) -> list[Tensor]:
        """One iteration up to the gradients."""
        for parameter in self.parameters:
            parameter.grad = None
        logits = self.student.eval()(images)
        with torch.no_grad():
            scores = self.teacher(images).sigmoid()
            best, channel = scores.max(dim=1)
            labelled = target.long()
            sure = (labelled < 2) & (channel >= 2) & (best >= THRESHOLD)
            labelled = torch.where(sure, channel, labelled)
            valid = labelled != VOID
            one_hot = (
                functional.one_hot(torch.where(valid, labelled, 0), self.classes).permute(0, 3, 1, 2).to(logits.dtype)
            )
        pixels = functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none").sum(dim=1)
        torch.autograd.backward((pixels * valid).sum() / valid.sum())
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]


class Lean:
    """Ours."""

    def __init__(self, model: IncrementalDeepLab, old: LabelSpace, new: tuple[int, ...]) -> None:
        """Takes the network of the step before."""
        switches = {"weight_transfer": True, "freeze": True, "freeze_norm": True, "pseudo_threshold": THRESHOLD}
        objective = prepare_increment(model, old, new, **switches, loss="bce")  # type: ignore[arg-type]
        self.objective = objective.eval().to(next(model.parameters()).device)  # its buffers too
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def gradients(self, images: Tensor, target: Tensor) -> list[Tensor]:
        """One iteration up to the gradients."""
        for parameter in self.parameters:
            parameter.grad = None
        torch.autograd.backward(self.objective(images, target).total)
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]


def both(
    groups: tuple[int, ...], size: Size, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Lean, Textbook, LabelSpace]:
    """Both ways over the same network."""
    labels, old = labels_of(groups), labels_of(groups[:-1])
    model = network(size, old).to(device, dtype)
    textbook = Textbook(copy.deepcopy(model), labels)
    return Lean(model, old, labels.groups[-1]), textbook, labels


def difference(groups: tuple[int, ...], size: Size, device: torch.device, dtype: torch.dtype) -> float:
    """How far the gradients of both ways lie apart: the largest relative distance of a tensor's."""
    lean, textbook, labels = both(groups, size, device, dtype)
    images, target = batch_of(size, labels, device)
    pairs = zip(lean.gradients(images.to(dtype), target), textbook.gradients(images.to(dtype), target), strict=True)
    return max(float((mine - other).norm() / other.norm()) for mine, other in pairs)


def compare(name: str, size: Size, device: torch.device) -> list[Row]:
    """The rows of a case."""
    # what is equal in double precision differs in single only by rounding, which ReLUs and thresholds make visible
    exact, rounded = (difference(CASES[name], size, device, dtype) for dtype in (torch.float64, torch.float32))
    lean, textbook, labels = both(CASES[name], size, device)
    images, target = batch_of(size, labels, device)
    inputs = images.contiguous(memory_format=torch.channels_last)
    lean.objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as the loop does
    rows = []
    for layout, aim in (("", GPU_TARGET if device.type == "cuda" else TARGETS[name]), (", both channels_last", None)):
        if layout:
            for network in (textbook.student, textbook.teacher):
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        theirs = inputs if layout else images
        mine, other = take_turns(
            lambda: lean.gradients(inputs, target),
            lambda theirs=theirs: textbook.gradients(theirs, target),  # type: ignore[misc]
            rounds=size.rounds,
            device=device,
        )
        detail = f"{mine:.3f} s against {other:.3f} s an iteration"
        rows.append(Row(name + layout, other / mine, aim, None if layout else exact < EXACT, detail))
    print(f"{name}: gradients differ by {exact:.0e} in double precision, by {rounded:.0e} in single")
    return rows


def trunk_rows(size: Size, device: torch.device) -> list[Row]:
    """What layout, folded norms, bf16 and compiling each give, for backbone and ASPP in evaluation."""
    labels = labels_of(CASES["voc_15-1_last"])
    plain = network(size, labels).requires_grad_(False).to(device)
    images, _ = batch_of(size, labels, device)
    folded = copy.deepcopy(plain)
    fold_norms(folded)
    inputs = images.contiguous(memory_format=torch.channels_last)
    last = copy.deepcopy(folded).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    variants: dict[str, Callable[[], object]] = {
        "norms folded": lambda: folded.features(images),
        "folded, channels_last": lambda: last.features(inputs),
    }
    if device.type == "cuda":
        compiled = torch.compile(last.features)

        def half(run: Callable[[Tensor], object]) -> Callable[[], object]:
            def in_bf16() -> object:
                with torch.autocast("cuda", torch.bfloat16):
                    return run(inputs)

            return in_bf16

        variants |= {"... and bf16": half(last.features), "... and compiled": half(compiled)}
    rows = []
    with torch.no_grad():
        expected = copy.deepcopy(plain).double().features(images.double()).aspp

        def run_in_double(name: str) -> Tensor:
            variant = copy.deepcopy(plain).double()
            fold_norms(variant)
            layout = torch.channels_last if "channels_last" in name else torch.contiguous_format
            found: Tensor = variant.to(memory_format=layout).features(images.double()).aspp  # type: ignore[call-overload]
            return found

        for name, run in variants.items():
            mine, other = take_turns(run, lambda: plain.features(images), rounds=size.rounds, device=device)
            near: bool | None = None  # half precision differs
            if "..." not in name:
                near = bool((run_in_double(name) - expected).norm() < 1e-9 * expected.norm())
            rows.append(Row(f"backbone: {name}", other / mine, None, near, f"{mine:.3f} s against {other:.3f} s"))
    return rows


def growth(size: Size, device: torch.device) -> Row:
    """What our iteration costs with 151 classes learned, against 16."""
    sides: list[Callable[[], object]] = []
    for groups in ((100, *(5,) * 10, 1), (15, 1)):
        lean, _, labels = both(groups, size, device)
        images, target = batch_of(size, labels, device)
        sides.append(lambda lean=lean, images=images, target=target: lean.gradients(images, target))  # type: ignore[misc]
    few, many = sides[1], sides[0]
    quick, slow = take_turns(few, many, rounds=size.rounds, device=device)
    detail = f"{slow:.3f} s with 151, {quick:.3f} s with 16"
    return Row("151 classes against 16", slow / quick, GROWTH_TARGET, None, detail, "times the cost", at_most=True)


def peak(side: str, name: str, size: Size, device: torch.device) -> float:
    """The most memory of a few iterations of one side, in GiB: of the GPU, or of this process."""
    labels, old = labels_of(CASES[name]), labels_of(CASES[name][:-1])
    model = network(size, old).to(device)
    run = Lean(model, old, labels.groups[-1]) if side == "ours" else Textbook(model, labels)
    images, target = batch_of(size, labels, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:  # what drawing the network took is not asked for: Linux forgets the peak so far
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    for _ in range(2):
        seconds_of(lambda: run.gradients(images, target), device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def memory(name: str, size: Size) -> Row:
    """Peak memory of a batch at which the weights do not decide, each side in a process of its own."""
    peaks = []
    for side in ("ours", "textbook"):
        words = [sys.executable, "-m", "benchmarks.incremental_step", "--peak", side, name, size.backbone]
        words += [str(size.side), str(max(size.batch, MEMORY_BATCH))]
        peaks.append(float(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    mine, other = peaks
    detail = f"{mine:.2f} GiB against {other:.2f} GiB"
    return Row(
        f"{name}, peak memory, batch {max(size.batch, MEMORY_BATCH)}",
        mine / other,
        MEMORY_TARGET,
        None,
        detail,
        "times the memory",
        at_most=True,
    )


def main() -> None:
    """Prints the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--peak", nargs=5, metavar=("SIDE", "CASE", "TRUNK", "PIXELS", "BATCH"), help="used by itself")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if given.peak:
        side, name, backbone, pixels, batch = given.peak
        print(peak(side, name, Size(backbone, int(pixels), int(batch), 1), device))
        return
    size = size_of(given, FULL, device)
    rows: list[Row] = []
    for name in CASES:
        rows += compare(name, size, device)
    if not given.smoke:
        rows += trunk_rows(size, device)
    if not (given.smoke or given.quick):
        rows += [growth(size, device), memory("ade_100-5_last", size)]
    print_table(
        f"an incremental iteration: {size.backbone}, {size.side} px, batch {size.batch}, float32", rows, given.json
    )


if __name__ == "__main__":
    main()
