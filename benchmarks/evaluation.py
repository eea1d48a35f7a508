"""Evaluation: up-sampling, scores, arg-max and confusion matrix against the textbook way; time and memory.

The textbook way is in this file: all logits up-sampled to the size of the image, sigmoids of all of them, the unknown's
added to the background's, arg-max, and numpy's bincount of the pixels that a mask picks.

Two kinds of logits: of noise, in which every class wins somewhere, so that none can be left out; and like those of a
photograph, drawn too, in which a few classes win and most others stay below.

    python -m benchmarks.evaluation
"""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.measure import Row, arguments, print_table, take_turns
from ssul.inference.confusion import ConfusionMatrix
from ssul.inference.predict import possible_winners, predict
from ssul.labels.ids import VOID
from ssul.labels.scores import fold_unknown
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab

TARGET = 2.0
STRIDE = 8
ROUNDING = 1e-6


class Setting(NamedTuple):
    """A dataset's sizes: its name, classes without the background, and the height and width of an image."""

    name: str
    classes: int
    height: int
    width: int

    @property
    def labels(self) -> LabelSpace:
        """The meaning of the channels: unknown, background and all classes."""
        return LabelSpace((tuple(range(1, self.classes + 1)),), unknown=True, activation="sigmoid")


class Case(NamedTuple):
    """What is evaluated, on the device: coarse logits, an image, and its ground truth uint8 (H, W) with some void."""

    labels: LabelSpace
    coarse: Tensor
    image: Tensor
    truth: Tensor


Judgement = tuple[Tensor, npt.NDArray[np.int64]]
"""A prediction (H, W) and the counts."""

VOC, ADE = Setting("VOC", 20, 375, 500), Setting("ADE", 150, 512, 683)
SMALL = Setting("small", 20, 120, 160)


def textbook(case: Case, logits: Tensor) -> Judgement:
    """Evaluates full-size logits (1, K, H, W) as is usual."""
    scores = logits.sigmoid()
    folded = torch.cat([scores[:, :1] + scores[:, 1:2], scores[:, 2:]], dim=1)
    prediction = folded.argmax(dim=1)[0]
    return prediction, fast_hist(case.truth.cpu().numpy(), prediction.cpu().numpy(), folded.shape[1])


def fast_hist(truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """The confusion matrix as it is usually counted."""
    valid = (truth >= 0) & (truth < classes)
    pairs = classes * truth[valid].astype(int) + prediction[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def upsampled(case: Case) -> Tensor:
    """All logits at the size of the image."""
    return functional.interpolate(case.coarse, size=case.image.shape[-2:], mode="bilinear", align_corners=False)


def ours(case: Case, coarse: Tensor) -> Judgement:
    """Evaluates coarse logits (1, K, h, w)."""
    prediction = predict(case.labels, coarse, case.image)[0]
    return prediction, ConfusionMatrix.of(case.truth, prediction, case.labels.num_classes).cpu().counts.numpy()


def make_case(setting: Setting, *, like_photograph: bool, device: torch.device) -> Case:
    """Draws logits and a truth."""
    chance = torch.Generator().manual_seed(0)
    labels = setting.labels
    height, width = -(-setting.height // STRIDE), -(-setting.width // STRIDE)
    if like_photograph:
        coarse = _five_regions(labels.num_channels, height, width, chance)
    else:
        coarse = torch.randn(1, labels.num_channels, height, width, generator=chance) - 2.0
    image = torch.randn(1, 3, setting.height, setting.width, generator=chance)
    truth = torch.randint(0, setting.classes + 1, (height, width), generator=chance).to(torch.uint8)
    truth[:, -2:] = VOID
    truth = functional.interpolate(truth[None, None], size=image.shape[-2:])[0, 0]
    return Case(labels, coarse.to(device), image.to(device), truth.to(device))


def _five_regions(channels: int, height: int, width: int, chance: torch.Generator) -> Tensor:
    """Logits (1, K, h, w) of five classes side by side; the others are unlikely, each to its own degree.

    They change over some pixels, as what wide receptive fields see does.
    """
    rough = torch.randn(1, channels, height // 4, width // 4, generator=chance)
    rough += 2.0 * torch.randn(channels, 1, 1, generator=chance) - 6.0
    shown = torch.randperm(channels, generator=chance)[:5]
    for channel, columns in zip(shown.tolist(), torch.arange(width // 4).tensor_split(5), strict=True):
        rough[:, channel] = torch.randn(rough.shape[-2:], generator=chance) - 4.0
        rough[:, channel, :, columns] += 8.0
    return functional.interpolate(rough, size=(height, width), mode="bilinear", align_corners=False)


def after_the_network(setting: Setting, *, like_photograph: bool, rounds: int, device: torch.device) -> Row:
    """From coarse logits to counts."""
    case = make_case(setting, like_photograph=like_photograph, device=device)
    mine, theirs = take_turns(
        lambda: ours(case, case.coarse), lambda: textbook(case, upsampled(case)), rounds=rounds, device=device
    )
    equal, differing = same(case, ours(case, case.coarse), upsampled(case))
    kind = "like a photograph" if like_photograph else "noise"
    return Row(
        f"after the network, {sizes(setting)}, {kind}",
        theirs / mine,
        TARGET,
        equal,
        f"{1e3 * mine:.1f} ms against {1e3 * theirs:.1f} ms; {len(possible_winners(case.coarse))} channels can win; "
        f"{differing} pixels differ",
    )


def whole_images(setting: Setting, *, backbone: str, rounds: int, device: torch.device) -> Row:
    """From normalised image to counts: the same network in the same memory layout on both sides."""
    torch.manual_seed(0)
    made = Architecture(backbone=backbone, head="deeplabv3", output_stride=STRIDE, width=256)
    model = IncrementalDeepLab(made, setting.labels.head_sizes)
    network = model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    case = make_case(setting, like_photograph=False, device=device)
    image = case.image.contiguous(memory_format=torch.channels_last)
    mine, theirs = take_turns(
        lambda: ours(case, network.forward_low_res(image)),
        lambda: textbook(case, network(image)),
        rounds=rounds,
        device=device,
    )
    equal, differing = same(case, ours(case, network.forward_low_res(image)), network(image))
    return Row(
        f"whole images with {backbone}, {sizes(setting)}",
        theirs / mine,
        None,
        equal,
        f"{1 / mine:.2f} images/s against {1 / theirs:.2f}; {differing} pixels differ",
    )


def same(case: Case, judgement: Judgement, logits: Tensor) -> tuple[bool, int]:
    """Whether our judgement is the textbook's of these full-size logits, and how many pixels differ: ties do not count.

    Scores that differ by less than rounding are a tie: which of the two is the greater is chance. The counts must be
    the textbook's of the prediction.
    """
    prediction, counts = judgement
    scores = fold_unknown(case.labels, logits)
    differing = int((scores.argmax(dim=1)[0] != prediction).sum())
    lost = scores.amax(dim=1)[0] - scores[0].gather(0, prediction[None].long())[0]
    expected = fast_hist(case.truth.cpu().numpy(), prediction.long().cpu().numpy(), scores.shape[1])
    return bool((lost <= ROUNDING).all()) and np.array_equal(counts, expected), differing


def memory(setting: Setting) -> Row:
    """The most memory that each takes beyond what its process had, each in a process of its own."""
    mine, theirs = (_peak_of(way, setting) for way in WAYS)
    return Row(
        f"peak memory after the network, {sizes(setting)}, noise",
        mine / theirs,
        None,
        None,
        f"{mine:.0f} MiB against {theirs:.0f} MiB",
        unit="of the memory",
        at_most=True,
    )


def sizes(setting: Setting) -> str:
    """A setting in words."""
    return f"{setting.name} {setting.labels.num_channels} channels {setting.height}x{setting.width}"


WAYS: dict[str, Callable[[Case], Judgement]] = {
    "ours": lambda case: ours(case, case.coarse),
    "textbook": lambda case: textbook(case, upsampled(case)),
}


def _peak_of(way: str, setting: Setting) -> float:
    words = [sys.executable, "-m", "benchmarks.evaluation", "--peak-of", way, setting.name]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def _print_peak(way: str, name: str) -> None:
    """MiB that one judgement takes at most, for `_peak_of`."""
    device = _device()
    setting = {one.name: one for one in (VOC, ADE, SMALL)}[name]
    WAYS[way](make_case(SMALL, like_photograph=False, device=device))  # what is loaded on first use is no one's
    case = make_case(setting, like_photograph=False, device=device)
    before = _peak(device)
    WAYS[way](case)
    print(max(_peak(device) - before, 0.1))


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:  # not getrusage, which a new process has from the one that started it
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    """Measures and prints."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--peak-of", nargs=2, metavar=("WAY", "SIZES"), help="print one peak in MiB (used by itself)")
    options = parser.parse_args()
    with torch.inference_mode():
        if options.peak_of:
            _print_peak(*options.peak_of)
            return
        device = _device()
        rounds = options.rounds or (1 if options.smoke else 3 if options.quick else 11)
        evaluated: tuple[Setting, ...] = (VOC, ADE)
        timed, weighed = evaluated, evaluated
        if options.quick:
            evaluated, timed, weighed = (SMALL, VOC), (SMALL,), (VOC,)
        if options.smoke:
            evaluated, timed, weighed = (SMALL,), (SMALL,), ()
        rows = [
            after_the_network(setting, like_photograph=like_photograph, rounds=rounds, device=device)
            for setting in evaluated
            for like_photograph in (False, True)
        ]
        backbone = "mobilenet_v2" if options.quick or options.smoke else "resnet50"
        rows += [whole_images(setting, backbone=backbone, rounds=rounds // 2 + 2, device=device) for setting in timed]
        rows += [memory(setting) for setting in weighed]
    print_table("Evaluation", rows, options.json)


if __name__ == "__main__":
    main()
