"""Whether a GPU computes what the CPU does, and whether a training on it resumes, repeats itself and takes bf16.

The network is drawn on the CPU and is the same on both. Agreement is counted in decimal digits: the negative logarithm
of the relative distance, 16 at most.
"""

import copy
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.gpu.scale import Scale
from benchmarks.incremental_step import Lean, Size, batch_of, labels_of, network
from benchmarks.measure import Row
from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.methods.ssul.increment import FrozenIncrement
from ssul.training.distributed import convert_to_sync_batchnorm
from ssul.training.loop import learn_step
from ssul.training.objective import Objective, Supervised
from ssul.training.state import TrainingState

OLD, NEW = (15, 1, 1, 1), (15, 1, 1, 1, 2)
MOST_DIGITS = 16.0
EXACT_DIGITS, SINGLE_DIGITS = 8.0, 3.0
"""What is asked: in double precision, where only the order of additions differs; and of the logits in single precision,
through fifty layers."""
ITERATIONS = 6
SLACK = 0.05
"""By how much a loss in bf16 may differ from the one in single precision, relatively."""


class Answers(NamedTuple):
    """What both devices compute, on the CPU."""

    logits: Tensor
    completed: Tensor
    gradients: list[Tensor]
    base_gradients: list[Tensor]


def equality(scale: Scale) -> Iterator[Row]:
    """CPU against GPU: logits, pseudo-labels and gradients, exactly in double precision and roughly in single."""
    for precision, dtype, tf32 in (("double", torch.float64, True), ("single", torch.float32, False)):
        with convolutions(tf32=tf32):
            ours, reference = (answers(scale.check, where, dtype) for where in (scale.device, torch.device("cpu")))
        alike = float((ours.completed == reference.completed).float().mean())
        aim = EXACT_DIGITS if precision == "double" else SINGLE_DIGITS
        asked = EXACT_DIGITS if precision == "double" else None  # a ReLU at zero makes rounding visible in gradients
        yield agreement(f"logits, {precision}", digits(ours.logits, reference.logits), aim)
        yield agreement(f"gradients of an increment, {precision}", fewest(ours.gradients, reference.gradients), asked)
        yield agreement(
            f"gradients of the base step, {precision}", fewest(ours.base_gradients, reference.base_gradients), asked
        )
        equal = alike == 1.0 if precision == "double" else None
        yield Row(f"targets with pseudo-labels, {precision}", 100 * alike, None, equal, unit="% of pixels")
    if scale.device.type == "cuda":  # as the product computes: cuDNN takes TF32 unless it is told not to
        ours = answers(scale.check, scale.device, torch.float32)
        yield agreement("logits, single with TF32 (the default)", digits(ours.logits, reference.logits), None)
        alike = float((ours.completed == reference.completed).float().mean())
        yield Row("targets with pseudo-labels, TF32", 100 * alike, None, None, unit="% of pixels")


def answers(size: Size, device: torch.device, dtype: torch.dtype) -> Answers:
    """What a device computes of an increment, and of a base step whose norms learn."""
    labels, old = labels_of(NEW), labels_of(OLD)
    lean = Lean(network(size, old).to(device, dtype), old, labels.groups[-1])
    objective = lean.objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(objective, FrozenIncrement)
    images, target = batch_of(size, labels, device)
    inputs = images.to(dtype).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        logits, completed = objective.model(inputs), objective.completed(inputs, target)
    gradients = [one.cpu() for one in lean.gradients(inputs, target)]
    base = network(size, labels).to(device, dtype, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    base.dropout.p = 0.0  # which draws other numbers on another device
    torch.autograd.backward(Supervised(base, labels, "bce")(inputs, target).total)
    learned = [one.grad.cpu() for one in base.parameters() if one.grad is not None]
    return Answers(logits.cpu(), completed.cpu(), gradients, learned)


def modes(scale: Scale) -> Iterator[Row]:
    """Resuming, repeating, bf16, and norms that processes share."""
    on_gpu = scale.device.type == "cuda"  # where the order of additions is not fixed, see docs/reliability.md
    whole = train(scale)
    repeated = fewest(*weights_of(whole, train(scale)))
    yield agreement("weights: the same training again", repeated, None if on_gpu else MOST_DIGITS)
    resumed = train(scale, state=train(scale, until=ITERATIONS // 2).state)
    aim = max(repeated - 1, 1.0)  # as near as a repetition is, but for chance
    yield agreement("weights: resumed half-way", fewest(*weights_of(resumed, whole)), aim)
    if on_gpu and repeated < MOST_DIGITS:
        with only_deterministic():
            try:
                found = fewest(*weights_of(train(scale), train(scale)))
                yield agreement("weights: again, deterministic algorithms alone", found, MOST_DIGITS)
            except RuntimeError as error:  # an operation has none
                print(f"no deterministic algorithm: {str(error).splitlines()[0]}", flush=True)
    if not on_gpu:
        return
    try:
        loss = train(scale, precision="bf16").losses[-1]
    except UserError as error:
        print(error, flush=True)
    else:
        apart = abs(loss - whole.losses[-1]) / abs(whole.losses[-1])
        detail = f"{loss:.4f} against {whole.losses[-1]:.4f}"
        yield Row("bf16: last loss against single", 1 + apart, 1 + SLACK, apart < SLACK, detail, "", at_most=True)
    yield shared_norms(scale)


def weights_of(*trained: "Trained") -> list[list[Tensor]]:
    """The weights of trainings, each in the same order."""
    return [list(one.weights.values()) for one in trained]


class Trained(NamedTuple):
    """A short training's losses, weights and state, on the CPU."""

    losses: list[float]
    weights: Mapping[str, Tensor]
    state: TrainingState | None


def train(
    scale: Scale, *, precision: str = "32", until: int = ITERATIONS, state: TrainingState | None = None
) -> Trained:
    """Trains a base step, in which everything learns, by the product's loop; from a state, if there is one."""
    labels, size = labels_of(OLD), replace(scale.check, batch=4)
    objective: Objective = Supervised(network(scale.check, labels).train(), labels, "bce")
    done = 0 if state is None else state.iteration
    losses, kept = [], None
    for progress in learn_step(
        objective,
        byte_batches(size, labels.num_channels, range(done, ITERATIONS)),
        objective.parameter_groups(0.01, backbone_ratio=0.1),
        fabric=choose_device(precision),
        normalisation=objective.model.normalisation,
        iterations=ITERATIONS,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="poly",
        seeds=lambda iteration: [31 * iteration + slot for slot in range(size.batch)],
        resume_from=state,
    ):
        losses.append(progress.loss)
        if progress.iteration == until:
            kept = progress.capture()
            break
    weights = {name: one.detach().cpu().clone() for name, one in objective.model.state_dict().items()}
    return Trained(losses, {name: one for name, one in weights.items() if one.is_floating_point()}, kept)


def byte_batches(size: Size, channels: int, iterations: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Images and targets as a loader hands them over, drawn for each iteration."""
    batches = []
    for iteration in iterations:
        chance = torch.Generator().manual_seed(iteration)
        images = torch.randint(256, (size.batch, 3, size.side, size.side), generator=chance).to(torch.uint8)
        coarse = torch.randint(channels, (size.batch, 1, 9, 9), generator=chance).float()
        target = nn.functional.interpolate(coarse, size=(size.side, size.side)).to(torch.uint8)[:, 0]
        pinned = torch.cuda.is_available()
        batches.append((images.pin_memory(), target.pin_memory()) if pinned else (images, target))
    return batches


def shared_norms(scale: Scale) -> Row:
    """The norms that processes share, in a group of one process, against plain ones."""
    labels = labels_of(OLD)
    plain = Supervised(network(scale.check, labels).to(scale.device).train(), labels, "bce").double()
    plain.model.dropout.p = 0.0
    shared = copy.deepcopy(plain)
    convert_to_sync_batchnorm(shared, SimpleNamespace(world_size=2, device=scale.device))  # type: ignore[arg-type]
    assert any(isinstance(module, nn.SyncBatchNorm) for module in shared.modules())
    images, target = batch_of(scale.check, labels, scale.device)
    with tempfile.TemporaryDirectory() as folder:
        torch.distributed.init_process_group("nccl", init_method=f"file://{folder}/meeting", rank=0, world_size=1)
        try:
            sides = [gradients_of(one, images.double(), target) for one in (shared, plain)]
        finally:
            torch.distributed.destroy_process_group()
    return agreement("SyncBatchNorm in one process: gradients", fewest(*sides), EXACT_DIGITS)


def gradients_of(objective: Objective, images: Tensor, target: Tensor) -> list[Tensor]:
    """The gradients of a batch, on the CPU."""
    torch.autograd.backward(objective(images, target).total)
    return [one.grad.cpu() for one in objective.parameters() if one.grad is not None]


def agreement(name: str, found: float, aim: float | None) -> Row:
    """A row of agreeing digits; without an aim it only informs."""
    equal = None if aim is None else found >= aim
    return Row(name, found, aim, equal, "the same bits" if found == MOST_DIGITS else "", "digits agree")


def digits(one: Tensor, two: Tensor) -> float:
    """In how many decimal digits two tensors agree, by their relative distance; 0..16."""
    distance = float((one.double() - two.double()).norm() / two.double().norm().clamp_min(1e-300))
    if not math.isfinite(distance):
        return 1e-3
    return min(MOST_DIGITS, max(1e-3, -math.log10(distance + 1e-300)))


def fewest(ones: Sequence[Tensor], twos: Sequence[Tensor]) -> float:
    """The agreement of the tensors that agree least; gradients of nothing are left out."""
    return min(digits(one, two) for one, two in zip(ones, twos, strict=True) if bool(two.any()))


@contextmanager
def convolutions(*, tf32: bool) -> Iterator[None]:
    """Whether cuDNN may round the inputs of convolutions to TF32, inside the block."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextmanager
def only_deterministic() -> Iterator[None]:
    """Algorithms alone that add in a fixed order, inside the block."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
