"""Stage `train_step@K`: the network after step K-1 learns the new classes of step K."""

import sys

import torch

from ssul.config.paths import LAYOUT, data_root
from ssul.config.schema import Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.data.sampling import TrainingItem, derive_seed
from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.memory.exemplars import add_current_annotation, read_exemplars
from ssul.methods.build import build_objective
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.pipeline.train import Training, train
from ssul.scenario.splits import Split


def main(step: str) -> None:
    """Writes data/checkpoints/step_K."""
    inputs = Provenance.read(int(step))
    settings = inputs.settings
    index = ImageIndex.read(LAYOUT.index("train"))
    split = Split.read(LAYOUT.split(int(step)))
    before = TrainedModel.load(LAYOUT.checkpoint(split.step - 1))
    model, old = before.model, before.labels
    if (*old.groups, split.new) != split.groups:
        raise UserError(
            f"the checkpoint {LAYOUT.checkpoint(split.step - 1)} learned the classes {old.groups}, but the split "
            f"{LAYOUT.split(split.step)} comes after {split.groups[:-1]}: run `dvc repro`"
        )
    method, learning = settings.method, settings.recipe.increment
    torch.manual_seed(derive_seed(settings.seed, "step", split.step))
    objective = build_objective(method, model, old, split.new)
    low_lr_head = objective.labels.background_head if method.freeze and objective.labels.unknown else None
    train(
        Training(
            objective=objective,
            made_from=method,
            split=split,
            new=[TrainingItem(image_id, split.new) for image_id in split.images],
            memory=rehearsed(split, settings),
            dataset=SegmentationDataset.of(
                index, data_root(settings.data.root, LAYOUT), saliency=settings.data.saliency == "maps"
            ),
            rows=index.rows,
            groups=model.parameter_groups(
                learning.lr,
                backbone_ratio=learning.backbone_lr_ratio,
                low_lr_head=low_lr_head,
                low_lr_ratio=method.background_lr_ratio,
            ),
            learning=learning,
            inputs=inputs,
        )
    )


def rehearsed(split: Split, settings: Params) -> list[TrainingItem]:
    """The exemplars of a step and how they are annotated."""
    exemplars = read_exemplars(LAYOUT.memory(split.step))
    if settings.memory.annotation == "present":
        exemplars = add_current_annotation(exemplars, split.images, split.step)
    everything = tuple(class_id for group in split.groups for class_id in group)
    return [
        TrainingItem(
            exemplar.id,
            everything if settings.method.published_bugs.memory_annotation else exemplar.annotated(split.groups),
            without_unknown_shift=settings.method.published_bugs.memory_labels,
        )
        for exemplar in exemplars
    ]


if __name__ == "__main__":
    run(main, *sys.argv[1:], alone=False)
