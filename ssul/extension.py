"""New classes for a trained network, from tensors of one's own: SSUL's increment (section 3) without the pipeline."""

from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from ssul.data.sampling import seed_everything
from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.inference.trained_model import TrainedModel
from ssul.labels.ids import BACKGROUND_ID, VOID
from ssul.labels.space import LabelSpace
from ssul.methods.ssul.increment import prepare_increment
from ssul.model.deeplab import IncrementalDeepLab
from ssul.pipeline.progress import progress_bar
from ssul.prediction.model import Model
from ssul.training.loop import learn_step
from ssul.training.objective import Objective


class Batches(Sized, Protocol):
    """Batches that can be iterated once an epoch, such as a DataLoader or a list."""

    def __iter__(self) -> Iterator[Sequence[Tensor]]: ...


def extend(
    model: Model,
    batches: Batches,
    classes: Sequence[str],
    *,
    epochs: int,
    lr: float,
    pseudo_threshold: float | None = 0.7,
    weight_decay: float = 1e-4,
    seed: int = 0,
    progress: bool = True,
) -> Model:
    """Lets a copy of a network learn new classes; everything else in it stays as it is.

    Without saliency maps the new heads alone learn, because the unknown of a network that was trained with maps would
    become the whole background. Unknown and background then give way to the new classes, see
    `ssul.model.heads.give_way`.

    Args:
        model: a network with or without an unknown class. The probabilities of a softmax network are read as those of
            sigmoids, see `ssul.model.heads.LogOdds`.
        batches: each holds uint8 images (B, 3, H, W), RGB, and uint8 masks (B, H, W): 0 for what is not annotated, 1
            and up for the new classes in their order, 255 for void; optionally uint8 saliency maps (B, H, W), positive
            on salient objects. Augmentation is the caller's.
        classes: names of the new classes.
        epochs: passes over the batches.
        lr: the learning rate at the start; it falls to 0 by the polynomial schedule. Momentum is 0.9.
        pseudo_threshold: the score in 0..1 from which the network labels what is not annotated; None for no
            pseudo-labels.
        weight_decay: of SGD.
        seed: of the new heads, of dropout, and of a DataLoader that shuffles.
        progress: whether to show a progress bar.

    Returns:
        The grown network.

    Raises:
        UserError: if the classes or the batches do not fit the network.
    """
    trained = model.trained
    old_names = trained.class_names
    if not classes or len({*classes, *old_names}) < len(classes) + len(old_names):
        raise UserError(f"classes must be new and different: got {list(classes)}, known are {', '.join(old_names)}")
    if epochs * len(batches) < 1:
        raise UserError(f"there is nothing to learn from: {len(batches)} batches, {epochs} epochs")
    first = max(trained.labels.classes) + 1
    new = tuple(range(first, first + len(classes)))
    if new[-1] >= VOID:
        raise UserError(
            f"{len(old_names)} known and {len(classes)} new classes are too many: ids must stay below {VOID}"
        )
    with torch.random.fork_rng():  # the caller's random state stays as it is
        seed_everything(seed, "extend")
        start = _copy(trained).with_sigmoids()
        objective = prepare_increment(
            start.model,
            start.labels,
            new,
            weight_transfer=start.labels.unknown,
            freeze=True,
            freeze_norm=True,
            pseudo_threshold=pseudo_threshold,
            loss="bce",
            background_lr_ratio=1e-4,
            learn_unknown=len(next(iter(batches))) == 3,  # images, masks and maps
        )
        progress_of = partial(progress_bar, title=f"learn {', '.join(classes)}", unit="it", silent=not progress)
        _learn(objective, new, batches, epochs=epochs, lr=lr, weight_decay=weight_decay, progress_of=progress_of)
    return model.with_network(TrainedModel(objective.model.cpu().eval(), objective.labels, (*old_names, *classes)))


def _learn(
    objective: Objective,
    new: Sequence[int],
    batches: Batches,
    *,
    epochs: int,
    lr: float,
    weight_decay: float,
    progress_of: Callable[..., "tqdm[Any]"],
) -> None:
    """Trains the objective on all batches, under a progress bar."""
    encoded = (_encode(objective.labels, new, batch) for batch in chain.from_iterable(repeat(batches, epochs)))
    iterations = epochs * len(batches)
    steps = learn_step(
        objective,
        encoded,
        objective.parameter_groups(lr, backbone_ratio=1.0),
        fabric=choose_device("32"),
        iterations=iterations,
        momentum=0.9,
        weight_decay=weight_decay,
        schedule="poly",
        normalisation=objective.model.normalisation,
    )
    with progress_of(total=iterations) as bar:
        for one in steps:
            bar.set_postfix_str(f"loss {one.loss:.3f}", refresh=False)
            bar.update()


def _copy(trained: TrainedModel) -> TrainedModel:
    """A copy in which everything may learn.

    Raises:
        UserError: if the network has a constant background.
    """
    if trained.labels.constant_background:
        raise UserError(
            "a network of DKD or STAR is extended by its own method, in the pipeline (STAR with images of old classes)"
        )
    network = IncrementalDeepLab(trained.model.architecture, trained.model.head_sizes)
    network.load_state_dict({name: tensor.cpu() for name, tensor in trained.model.state_dict().items()})
    return replace(trained, model=network.eval())


def _encode(labels: LabelSpace, new: Sequence[int], batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Images and training targets of a batch.

    Raises:
        UserError: if a mask holds another value.
    """
    images, masks, *maps = batch
    if (
        images.dtype != torch.uint8
        or masks.dtype != torch.uint8
        or images.ndim != 4
        or masks.shape != images[:, 0].shape
    ):
        raise UserError(
            f"a batch is uint8 images (B, 3, H, W) and uint8 masks (B, H, W): got {images.dtype} {tuple(images.shape)} "
            f"and {masks.dtype} {tuple(masks.shape)}"
        )
    ids = torch.full((256,), VOID, dtype=torch.uint8)
    ids[: len(new) + 1] = torch.tensor([BACKGROUND_ID, *new], dtype=torch.uint8)
    foreign = sorted({*masks.flatten().tolist()} - {*range(len(new) + 1), VOID})
    if foreign:
        raise UserError(f"a mask holds {foreign}: 0 is what is not annotated, 1..{len(new)} the new classes, 255 void")
    return images, labels.encode(ids[masks.int()], maps[0] if maps else None, new)
