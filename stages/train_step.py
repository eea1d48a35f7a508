"""Stage `train_step@K`: the network after step K-1 learns the new classes of step K."""

import sys

import torch

from ssul import config
from ssul.data.dataset import SegmentationDataset
from ssul.data.exemplars import read_exemplars
from ssul.data.layout import VocFolders
from ssul.data.splits import Split
from ssul.data.stream import Item, derive_seed
from ssul.labels import LabelSpace
from ssul.methods.ssul import prepare_increment
from ssul.model.checkpoint import load_checkpoint
from ssul.paths import picture_root
from stages.entry import LAYOUT, run
from stages.training import train


def main(step: str) -> None:
    """Writes data/checkpoints/step_K."""
    settings = config.load(LAYOUT.params)
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
    slow_head = objective.labels.background_head if method.freeze and objective.labels.unknown else None
    train(
        objective,
        split,
        new=[Item(image_id, split.new) for image_id in split.images],
        memory=[Item(row.id, row.annotated(split.groups)) for row in read_exemplars(LAYOUT.memory(split.step))],
        dataset=SegmentationDataset(
            VocFolders(picture_root(settings.data.root, LAYOUT)), saliency=settings.data.saliency == "maps"
        ),
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
