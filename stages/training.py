"""What the two training stages share: running the loop under a progress bar, and saving what was learned."""

from collections.abc import Sequence
from typing import Any

from ssul.config import Learning, Recipe
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import IndexRow, require_unchanged
from ssul.data.splits import Split
from ssul.data.stream import Item, SampleOrder, training_batches
from ssul.methods.objective import Objective
from ssul.model.checkpoint import save_checkpoint
from ssul.training.device import choose_device, loader_workers
from ssul.training.learn import iteration_count, learn_step
from stages.entry import LAYOUT, progress_bar


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
    recipe: Recipe,
    seed: int,
) -> None:
    """Trains a step and writes its checkpoint."""
    wanted = {item.id for item in (*new, *memory)}
    require_unchanged([row for row in rows if row.id in wanted], dataset.folders, saliency=dataset.saliency)
    iterations = iteration_count(len(new), epochs=learning.epochs, batch=learning.batch)
    fabric = choose_device(recipe.precision)
    batches = training_batches(
        SampleOrder(tuple(new), tuple(memory), learning.batch, seed, split.step),
        dataset,
        objective.labels,
        crop=recipe.crop,
        scale=recipe.scale,
        iterations=iterations,
        workers=loader_workers(),
    )
    print(
        f"step {split.step}: learning {', '.join(split.new_names)} from {len(new)} images"
        + (f" and {len(memory)} exemplars" if memory else "")
        + f" on {fabric.device}, {iterations} iterations"
        + (f" (fewer images than a batch of {learning.batch}: they repeat)" if len(new) < learning.batch else ""),
        flush=True,
    )
    progress = learn_step(
        objective,
        batches,
        groups,
        fabric=fabric,
        iterations=iterations,
        momentum=learning.momentum,
        weight_decay=learning.weight_decay,
    )
    with progress_bar(total=iterations, title=f"train step {split.step}", unit="it") as bar:
        for state in progress:
            bar.update()
            shares = "".join(f" {name} {value:.2f}" for name, value in state.parts.items())
            bar.set_postfix_str(
                f"loss {state.loss:.3f} lr {state.lr:.1e} {state.images_per_second:.0f} images/s{shares}", refresh=False
            )
    save_checkpoint(
        LAYOUT.checkpoint(split.step),
        objective.model,
        {"labels": objective.labels.describe(), "class_names": list(split.class_names)},
    )
