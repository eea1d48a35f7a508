"""Trains a step and writes its checkpoint."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lightning_fabric import Fabric

from ssul.config.paths import LAYOUT, Layout, data_root, project_root
from ssul.config.schema import Optimisation, Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.data.loader import TrainingLoader, loader_workers, training_loader
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.data.training_set import Augmentation
from ssul.data.transforms import normalise
from ssul.errors import UserError
from ssul.inference.device import choose_device, hardware, peak_memory_gib
from ssul.labels.space import LabelSpace
from ssul.model.checkpoint import save_checkpoint
from ssul.pipeline.progress import progress_bar, shown
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import stage_lock
from ssul.scenario.scenario import Step, belongs
from ssul.scenario.splits import Split
from ssul.tracking.live import live_logger
from ssul.training.distributed import any_rank, fabric_settings, is_rank_zero, launch, same_on_all_ranks
from ssul.training.history import TrainingHistory
from ssul.training.loop import DivergedError, Progress, iteration_count, learn_step
from ssul.training.objective import Batch, Objective
from ssul.training.resume import StateFile, fingerprint
from ssul.training.selection import BestWeights, LastFiniteWeights, published_interval, step_miou
from ssul.training.session import Course, libraries
from ssul.training.shutdown import stop_on_signal
from ssul.training.state import StateMismatchError


@dataclass(frozen=True)
class Training:
    """The training of one step.

    Attributes:
        objective: holds the network.
        made_from: what decides the objective beside its weights and labels; its `repr` says all of it.
        split: the step.
        new, memory: the items to learn from.
        dataset, rows: their pictures, and how they were indexed.
        groups: the optimiser's, with their rates.
        learning: the step's part of the recipe.
        inputs: what all this was made from.
    """

    objective: Objective
    made_from: object
    split: Split
    new: Sequence[TrainingItem]
    memory: Sequence[TrainingItem]
    dataset: SegmentationDataset
    rows: Sequence[IndexRow]
    groups: list[dict[str, Any]]
    learning: Optimisation
    inputs: Provenance

    @property
    def settings(self) -> Params:
        """All parameters."""
        return self.inputs.settings

    @property
    def order(self) -> SampleOrder:
        """Which image when."""
        return SampleOrder(
            tuple(self.new), tuple(self.memory), self.learning.batch, self.settings.seed, self.split.step
        )

    @property
    def augmentation(self) -> Augmentation:
        """How pictures are varied."""
        recipe = self.settings.recipe
        return Augmentation(recipe.crop, recipe.scale, self.settings.method.published_bugs.padding)

    @property
    def iterations(self) -> int:
        """How many there are."""
        return iteration_count(len(self.new), epochs=self.learning.epochs, batch=self.learning.batch)

    @property
    def fingerprint(self) -> str:
        """Of all that decides what is learned: whoever finds it again may go on with the training."""
        settings, groups = self.settings, [(group["name"], group["lr"]) for group in self.groups]
        network, labels = self.objective.model.architecture, self.objective.labels
        told = (self.made_from, self.order, self.augmentation, self.learning, groups, network, labels, libraries())
        judged = (settings.recipe.precision, settings.method.selection, self.dataset.saliency)
        files = sorted(self.inputs.digests.items())
        return fingerprint([*told, *judged, *files], self.objective.state_dict())


def train(training: Training) -> None:
    """Trains a step, from where the same training was ended if it was, and writes its checkpoint."""
    step, dataset = training.split.step, training.dataset
    wanted = {item.id for item in (*training.new, *training.memory)} | set(training.split.holdout)
    require_unchanged([row for row in training.rows if row.id in wanted], dataset.folders, saliency=dataset.saliency)
    fabric = choose_device(training.settings.recipe.precision, fabric_settings())
    with held(training) as kept:
        share = launch(fabric, training.learning.batch)  # from here on the first process alone tells and writes
        if fabric.is_global_zero:
            announce(training, fabric)
        curve = learn(training, fabric, share, kept)
        if fabric.is_global_zero:
            training.inputs.require_unchanged()
            meaning = meaning_of(training.objective.labels, training.split)
            save_checkpoint(LAYOUT.checkpoint(step), training.objective.model, meaning, curve.describe())
            kept.finish()


@contextmanager
def held(training: Training) -> Iterator[StateFile]:
    """Holds a training and its place in this folder; of several processes the first one does so for all."""
    place, step = (Layout(project_root()).trainings, training.fingerprint), training.split.step
    if not is_rank_zero():
        yield StateFile(*place)
        return
    tell = partial(print, f"step {step}:", flush=True)
    # in this order: an orphan that trains the same hears that somebody waits; any other is waited for too
    with StateFile.held(*place, tell) as kept, stage_lock(f"the training of step {step}"):
        yield kept


def learn(training: Training, fabric: Fabric, share: tuple[int, int], kept: StateFile) -> TrainingHistory:
    """Learns from the beginning, or from what was kept, to the end; returns how it went."""
    objective, split, order, learning = training.objective, training.split, training.order, training.learning
    load = partial(
        training_loader,
        dataset=training.dataset,
        labels=objective.labels,
        augmentation=training.augmentation,
        workers=loader_workers(fabric.world_size),
    )
    one_pass = iteration_count(len(order.new), epochs=1, batch=learning.batch)
    # the new images alone; every process looks at all of them
    calibrate(objective, load(replace(order, memory=()), iterations=one_pass), fabric, split.step)
    curve = TrainingHistory(
        split.step,
        split.new_names,
        hardware(fabric),
        images=len(order.new),
        exemplars=len(order.memory),
        iterations=training.iterations,
    )
    best = best_weights(training)
    course = Course(kept, curve, best, silent=not fabric.is_global_zero)
    begin = course.take_up()
    first = same_on_all_ranks(fabric, 0 if begin is None else begin.iteration, "a state to go on from")
    try:
        progress = learn_step(
            objective,
            load(order, iterations=training.iterations, rank=share[0], world_size=share[1], start_iteration=first),
            training.groups,
            fabric=fabric,
            iterations=training.iterations,
            momentum=learning.momentum,
            weight_decay=learning.weight_decay,
            schedule=learning.schedule,
            seeds=partial(order.dropout_seeds, rank=share[0], world_size=share[1]),
            begin=begin,
        )
    except StateMismatchError as error:
        raise UserError(f"{kept.path('safetensors')} is the state of another training ({error}): delete it") from None
    snapshot = LastFiniteWeights(objective.model, first)
    try:
        follow(progress, course, snapshot, fabric, first)
    except DivergedError as error:
        told = keep_last_good(error, objective, snapshot, order, split) if fabric.is_global_zero else ""
        fabric.barrier()  # who leaves earlier ends the others
        raise UserError(told) from None
    if best is not None:
        best.restore()
        if fabric.is_global_zero:
            print(f"step {split.step}: {best}")
    return curve


def follow(
    progress: Iterator[Progress], course: Course, snapshot: LastFiniteWeights, fabric: Fabric, first: int
) -> None:
    """Follows a training from an iteration on: shows it, saves it now and then, and ends it when asked to."""
    curve, told = course.curve, fabric.is_global_zero
    title = f"train step {curve.step}"
    with (
        progress_bar(total=curve.iterations, title=title, unit="it", silent=not told, done=first) as bar,
        live_logger(curve.step) if told else nullcontext() as live,
        stop_on_signal() as wish,
    ):
        for state in progress:
            bar.update()
            shares = "".join(f" {name} {value:.2f}" for name, value in state.parts.items())
            bar.set_postfix_str(
                f"loss {state.loss:.3f} lr {state.lr:.1e} {state.images_per_second:.0f} images/s{shares}", refresh=False
            )
            point = curve.add(state)
            if point is not None and live is not None:
                speed = {"images_per_second": state.images_per_second, "memory_gib": peak_memory_gib(fabric)}
                live.show(point | speed)
            snapshot.take(state.iteration)
            if course.best is not None:
                course.best.offer(state.iteration)
            ended = any_rank(fabric, wish.by is not None)
            saved = told and (ended or course.save_due(state)) and course.save(state)
            if ended:
                by = wish.by or signal.SIGTERM  # it was another process that was asked
                way_on = "the same command goes on" if saved else "nothing later than the state before is kept"
                course.tell(f"{by.name} after iteration {state.iteration} of {state.iterations}: {way_on}")
                fabric.barrier()  # who leaves earlier ends the others
                raise SystemExit(128 + by if told else 0)  # else the first would be told that a process has died


def keep_last_good(
    error: DivergedError, objective: Objective, snapshot: LastFiniteWeights, order: SampleOrder, split: Split
) -> str:
    """Saves the last weights from when all was well; returns what to tell."""
    images = ", ".join(order.item(error.iteration, slot).id for slot in range(order.batch))
    told = f"step {split.step}: {error}. The batch was {images}"
    if snapshot.iteration is None:  # gone on with weights that were broken already
        return told
    snapshot.restore()
    place = Layout(project_root()).last_good(split.step)
    save_checkpoint(place, objective.model, meaning_of(objective.labels, split))
    return f"{told}; the weights after iteration {snapshot.iteration} are in {place}"


def meaning_of(labels: LabelSpace, split: Split) -> dict[str, Any]:
    """What a checkpoint says of its channels."""
    return {"labels": labels.describe(), "class_names": list(split.class_names)}


def announce(training: Training, fabric: Fabric) -> None:
    """Says what is going to be learned."""
    split, order = training.split, training.order
    few = len(order.new) < order.batch
    print(
        f"step {split.step}: learning {', '.join(split.new_names)} from {len(order.new)} images"
        + (f" and {len(order.memory)} exemplars" if order.memory else "")
        + f" on {fabric.device}, {training.iterations} iterations"
        + (f" (fewer images than a batch of {order.batch}: they repeat)" if few else ""),
        flush=True,
    )


@dataclass(frozen=True)
class _OnDevice:
    """Loaded batches, normalised, on the device."""

    batches: TrainingLoader
    fabric: Fabric

    def __iter__(self) -> Iterator[Batch]:
        for images, target in self.batches:
            yield normalise(self.fabric.to_device(images)), self.fabric.to_device(target)


def calibrate(objective: Objective, batches: TrainingLoader, fabric: Fabric, step: int) -> None:
    """Lets a method look at the step's images before the training, under a progress bar where it does."""
    objective.to(fabric.device)
    looked = objective.calibrate(_OnDevice(batches, fabric))
    first = next(looked, None)
    if first is not None:
        silent = not fabric.is_global_zero
        for _ in shown(looked, total=None, title=f"calibrate step {step}", unit="batch", silent=silent):
            pass


def best_weights(training: Training) -> BestWeights | None:
    """What chooses among the weights on the way, if `method.selection` says that not the last ones are kept."""
    objective, split, dataset = training.objective, training.split, training.dataset
    settings, how = training.settings, training.settings.method.selection
    if how == "last":
        return None
    step = Step(split.step, split.new, split.old)
    if how == "published":
        index = ImageIndex.read(LAYOUT.index("val"))
        dataset = SegmentationDataset.of(index, data_root(settings.data.root, LAYOUT), saliency=False)
        ids = [row.id for row in index.rows if belongs(row.present, step, "overlapped")]
    else:
        present = ImageIndex.read(LAYOUT.index("train")).present
        ids = [image_id for image_id in split.holdout if belongs(present[image_id], step, "overlapped")]
    if not ids:
        raise UserError(
            f"method.selection is {how}, but step {split.step} has no image to choose on: "
            "hold some out with -S data.holdout=0.1, or keep the last weights with -S method.selection=last"
        )
    judge = partial(
        step_miou, objective.model, objective.labels, dataset, ids, new=split.new, with_background=split.step == 0
    )
    every = published_interval(training.iterations) if how == "published" else max(1, training.iterations // 10)
    return BestWeights(objective.model, judge, every=every, include_initial=how == "published")
