"""An iteration of the base step, in which everything learns, against the same network in PyTorch's default layout.

    python -m benchmarks.base_step [--quick] [--json FILE]

On a GPU the textbook is half precision (fp16) in the default layout, and ours is bf16; compiling is a row of its own,
for the product does not compile.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.incremental_step import FULL, Size, batch_of, labels_of, network, size_of
from benchmarks.measure import Row, arguments, print_table, take_turns
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.objective import Supervised

BASE = (15,)
GPU_TARGET = 1.5
Run = Callable[[], list[Tensor]]


def textbook_loss(model: IncrementalDeepLab, images: Tensor, target: Tensor) -> Tensor:
    """The published code's: binary cross-entropy of all channels against a one-hot target."""
    logits = model(images)
    labelled = target.long()
    valid = labelled != VOID
    one_hot = functional.one_hot(torch.where(valid, labelled, 0), logits.shape[1]).permute(0, 3, 1, 2).to(logits.dtype)
    pixels = functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none").sum(dim=1)
    return (pixels * valid).sum() / valid.sum()


def gradients(model: IncrementalDeepLab, loss: Callable[[], Tensor], precision: AbstractContextManager[object]) -> Run:
    """One iteration up to the gradients."""

    def run() -> list[Tensor]:
        model.zero_grad(set_to_none=True)
        with precision:
            total = loss()
        torch.autograd.backward(total)
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    return run


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Mixed precision on a GPU, none elsewhere."""
    return torch.autocast("cuda", dtype) if device.type == "cuda" else nullcontext()


def equal_in_double(model: IncrementalDeepLab, labels: LabelSpace, images: Tensor, target: Tensor) -> bool:
    """Whether both ways have the same gradients; norms over few samples make the rounding of single precision large."""
    theirs = copy.deepcopy(model).double()
    ours = copy.deepcopy(theirs).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective, precise = Supervised(ours, labels, "bce"), images.double()
    mine = gradients(ours, lambda: objective(precise, target).total, nullcontext())()
    other = gradients(theirs, lambda: textbook_loss(theirs, precise, target), nullcontext())()
    return all(bool((one - two).norm() <= 1e-6 * two.norm() + 1e-12) for one, two in zip(mine, other, strict=True))


def compare(size: Size, device: torch.device) -> list[Row]:
    """The rows."""
    labels = labels_of(BASE)
    theirs = network(size, labels).to(device).train()
    theirs.dropout.p = 0.0  # which draws differently in another layout
    images, target = batch_of(size, labels, device)
    inputs = images.contiguous(memory_format=torch.channels_last)
    ours = copy.deepcopy(theirs).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = Supervised(ours, labels, "bce")
    textbook = gradients(theirs, lambda: textbook_loss(theirs, images, target), autocast(device, torch.float16))
    lean = gradients(ours, lambda: objective(inputs, target).total, autocast(device, torch.bfloat16))
    equal = equal_in_double(theirs, labels, images, target)
    variants = {"base step": lean}
    if device.type == "cuda":
        compiled = torch.compile(objective)
        variants["base step, compiled"] = gradients(
            ours, lambda: compiled(inputs, target).total, autocast(device, torch.bfloat16)
        )
    rows = []
    for name, run in variants.items():
        mine, other = take_turns(run, textbook, rounds=size.rounds, device=device)
        detail = f"{mine:.3f} s against {other:.3f} s an iteration, {size.batch / mine:.1f} images/s"
        rows.append(Row(name, other / mine, GPU_TARGET if device.type == "cuda" else None, equal, detail))
    return rows


def main() -> None:
    """Prints the table."""
    given = arguments(__doc__ or "").parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size_of(given, FULL, device)
    print_table(
        f"a base iteration: {size.backbone}, {size.side} px, batch {size.batch}", compare(size, device), given.json
    )


if __name__ == "__main__":
    main()
