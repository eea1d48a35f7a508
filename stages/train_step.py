"""Stage `train_step@K`: the network after step K-1 learns the new classes of step K."""

import sys

import torch

from ssul import config
from ssul.data.exemplars import captured_again, read_exemplars
from ssul.data.index import ImageIndex
from ssul.data.splits import Split
from ssul.data.stream import Item, derive_seed
from ssul.labels import LabelSpace
from ssul.methods.ssul import prepare_increment
from ssul.model.checkpoint import load_checkpoint
from stages.entry import LAYOUT, run
from stages.pictures import training_pictures
from stages.training import train


def main(step: str) -> None:
    """Writes data/checkpoints/step_K."""
    settings = config.load(LAYOUT.params)
    index = ImageIndex.read(LAYOUT.index("train"))
    split = Split.read(LAYOUT.split(int(step)))
    model, meaning = load_checkpoint(LAYOUT.checkpoint(split.step - 1))
    old = LabelSpace.from_description(meaning["labels"])
    method, learning = settings.method, settings.recipe.increment
    torch.manual_seed(derive_seed(settings.seed, "step", split.step))
    objective = prepare_increment(
        model,
        old,
        split.new,
        weight_transfer=method.weight_transfer,
        freeze=method.freeze,
        freeze_norm=method.freeze_norm,
        pseudo_threshold=method.pseudo_threshold if method.pseudo_labels else None,
    )
    exemplars = read_exemplars(LAYOUT.memory(split.step))
    if settings.memory.annotation == "present":
        exemplars = captured_again(exemplars, split.images, split.step)
    slow_head = objective.labels.background_head if method.freeze and objective.labels.unknown else None
    train(
        objective,
        split,
        new=[Item(image_id, split.new) for image_id in split.images],
        memory=[Item(exemplar.id, exemplar.annotated(split.groups)) for exemplar in exemplars],
        dataset=training_pictures(settings.data, index),
        rows=index.rows,
        groups=model.trainable_groups(
            learning.lr,
            trunk_ratio=learning.trunk_lr_ratio,
            slow_head=slow_head,
            slow_ratio=method.background_lr_ratio,
        ),
        learning=learning,
        recipe=settings.recipe,
        seed=settings.seed,
    )


if __name__ == "__main__":
    run(main, *sys.argv[1:])
