"""What the two training stages share: running the loop under a progress bar, and saving what was learned."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from ssul.config import Learning, Settings
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.data.splits import Split
from ssul.data.stream import Item, SampleOrder, Variation, training_batches
from ssul.data.transforms import normalise
from ssul.errors import UserError
from ssul.evaluation.selection import BestWeights, judge_step, published_interval
from ssul.labels import LabelSpace
from ssul.methods.objective import Batch, Objective
from ssul.model.checkpoint import save_checkpoint
from ssul.paths import Layout, picture_root, project_root
from ssul.scenario import Step, belongs
from ssul.training.curve import Curve
from ssul.training.device import choose_device, hardware, loader_workers, memory_in_use
from ssul.training.learn import DivergedError, Snapshot, iteration_count, learn_step
from ssul.training.processes import launch, share_of_host
from stages.entry import LAYOUT, progress_bar, shown
from stages.live import live_curve


def train(
    objective: Objective,
    split: Split,
    *,
    new: Sequence[Item],
    memory: Sequence[Item],
    dataset: SegmentationDataset,
    rows: Sequence[IndexRow],
    groups: list[dict[str, Any]],
    learning: Learning,
    settings: Settings,
) -> None:
    """Trains a step and writes its checkpoint."""
    wanted = {item.id for item in (*new, *memory)}
    require_unchanged([row for row in rows if row.id in wanted], dataset.folders, saliency=dataset.saliency)
    iterations = iteration_count(len(new), epochs=learning.epochs, batch=learning.batch)
    fabric = choose_device(settings.recipe.precision, share_of_host())
    share = launch(fabric, learning.batch)  # from here on the first process alone tells and writes
    order = SampleOrder(tuple(new), tuple(memory), learning.batch, settings.seed, split.step)
    variation = Variation(settings.recipe.crop, settings.recipe.scale, settings.method.faults.padding)
    load = partial(
        training_batches,
        dataset=dataset,
        labels=objective.labels,
        variation=variation,
        workers=loader_workers(fabric.world_size),
    )
    if fabric.is_global_zero:
        announce(split, order, fabric, iterations)
    one_pass = iteration_count(len(new), epochs=1, batch=learning.batch)
    # the new images alone; every process looks at all of them
    survey(objective, load(replace(order, memory=()), iterations=one_pass), fabric, split.step)
    best = best_weights(objective, split, dataset, settings, iterations)
    curve = Curve(
        split.step, split.new_names, hardware(fabric), images=len(new), exemplars=len(memory), iterations=iterations
    )
    progress = learn_step(
        objective,
        load(order, iterations=iterations, share=share),
        groups,
        fabric=fabric,
        iterations=iterations,
        momentum=learning.momentum,
        weight_decay=learning.weight_decay,
        schedule=learning.schedule,
        seeds=partial(order.dropout_seeds, share=share),
    )
    snapshot = Snapshot(objective.model)
    try:
        title, first = f"train step {split.step}", fabric.is_global_zero
        with (
            progress_bar(total=iterations, title=title, unit="it", silent=not first) as bar,
            live_curve(split.step) if first else nullcontext() as live,
        ):
            for state in progress:
                bar.update()
                shares = "".join(f" {name} {value:.2f}" for name, value in state.parts.items())
                bar.set_postfix_str(
                    f"loss {state.loss:.3f} lr {state.lr:.1e} {state.images_per_second:.0f} images/s{shares}",
                    refresh=False,
                )
                point = curve.add(state)
                if point is not None and live is not None:
                    speed = {"images_per_second": state.images_per_second, "memory_gib": memory_in_use(fabric)}
                    live.show(point | speed)
                snapshot.take(state.iteration)
                if best is not None:
                    best.offer(state.iteration)
    except DivergedError as error:
        told = keep_last_good(error, objective, snapshot, order, split) if fabric.is_global_zero else ""
        fabric.barrier()  # who leaves earlier ends the others
        raise UserError(told) from None
    if best is not None:
        best.restore()
    if fabric.is_global_zero:
        if best is not None:
            print(f"step {split.step}: {best}")
        save_checkpoint(
            LAYOUT.checkpoint(split.step), objective.model, meaning_of(objective.labels, split), curve.describe()
        )


def keep_last_good(
    error: DivergedError, objective: Objective, snapshot: Snapshot, order: SampleOrder, split: Split
) -> str:
    """Saves the last weights from when all was well; returns what to tell."""
    images = ", ".join(order.item(error.iteration, slot).id for slot in range(order.batch))
    snapshot.restore()
    place = Layout(project_root()).last_good(split.step)
    save_checkpoint(place, objective.model, meaning_of(objective.labels, split))
    return (
        f"step {split.step}: {error}. The batch was {images}; the weights after iteration {snapshot.iteration} are in "
        f"{place}"
    )


def meaning_of(labels: LabelSpace, split: Split) -> dict[str, Any]:
    """What a checkpoint says of its channels."""
    return {"labels": labels.describe(), "class_names": list(split.class_names)}


def announce(split: Split, order: SampleOrder, fabric: Fabric, iterations: int) -> None:
    """Says what is going to be learned."""
    few = len(order.new) < order.batch
    print(
        f"step {split.step}: learning {', '.join(split.new_names)} from {len(order.new)} images"
        + (f" and {len(order.memory)} exemplars" if order.memory else "")
        + f" on {fabric.device}, {iterations} iterations"
        + (f" (fewer images than a batch of {order.batch}: they repeat)" if few else ""),
        flush=True,
    )


@dataclass(frozen=True)
class _OnDevice:
    """Loaded batches, normalised, on the device."""

    batches: "DataLoader[tuple[Tensor, Tensor]]"
    fabric: Fabric

    def __iter__(self) -> Iterator[Batch]:
        for images, target in self.batches:
            yield normalise(self.fabric.to_device(images)), self.fabric.to_device(target)


def survey(objective: Objective, batches: "DataLoader[tuple[Tensor, Tensor]]", fabric: Fabric, step: int) -> None:
    """Lets a method look at the step's images before the training, under a progress bar where it does."""
    objective.to(fabric.device)
    looked = objective.survey(_OnDevice(batches, fabric))
    first = next(looked, None)
    if first is not None:
        silent = not fabric.is_global_zero
        for _ in shown(looked, total=None, title=f"survey step {step}", unit="batch", silent=silent):
            pass


def best_weights(
    objective: Objective, split: Split, dataset: SegmentationDataset, settings: Settings, iterations: int
) -> BestWeights | None:
    """What chooses among the weights on the way, if `method.selection` says that not the last ones are kept."""
    how = settings.method.selection
    if how == "last":
        return None
    step = Step(split.step, split.new, split.old)
    if how == "published":
        index = ImageIndex.read(LAYOUT.index("val"))
        dataset = SegmentationDataset.of(index, picture_root(settings.data.root, LAYOUT), saliency=False)
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
        judge_step, objective.model, objective.labels, dataset, ids, new=split.new, with_background=split.step == 0
    )
    every = published_interval(iterations) if how == "published" else max(1, iterations // 10)
    return BestWeights(objective.model, judge, every=every, untrained=how == "published")
