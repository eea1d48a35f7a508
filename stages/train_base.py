"""Stage `train_base`: the network learns the base classes (step 0)."""

from pathlib import Path

import torch

from ssul.config.paths import LAYOUT, data_root, given_checkpoint, weights_file
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.data.sampling import TrainingItem, derive_seed
from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.labels.space import LabelSpace
from ssul.model.checkpoint import read_training, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.pipeline.train import Training, meaning_of, train
from ssul.scenario.splits import Split
from ssul.training.objective import Supervised


def main() -> None:
    """Writes data/checkpoints/step_0 from the base step's split, or from the checkpoint that the parameters give."""
    inputs = Provenance.read(0)
    settings = inputs.settings
    index = ImageIndex.read(LAYOUT.index("train"))
    split = Split.read(LAYOUT.split(0))
    labels = LabelSpace(split.groups, settings.method.unknown, settings.method.activation)
    architecture = Architecture(**settings.model.model_dump(exclude={"weights"}))
    weights, learning = settings.model.weights, settings.recipe.base
    if InitialCheckpoint.read(LAYOUT.initial_checkpoint).digest is not None:
        take(given_checkpoint(learning.checkpoint), architecture, labels, split)
        return
    torch.manual_seed(derive_seed(settings.seed, "base"))
    model = IncrementalDeepLab(architecture, labels.head_sizes, weights_file(weights))
    train(
        Training(
            objective=Supervised(model, labels, settings.method.loss),
            made_from=settings.method.loss,
            split=split,
            new=[TrainingItem(image_id, split.new) for image_id in split.images],
            memory=[],
            dataset=SegmentationDataset.of(
                index, data_root(settings.data.root, LAYOUT), saliency=settings.data.saliency == "maps"
            ),
            rows=index.rows,
            groups=model.parameter_groups(
                learning.lr, backbone_ratio=learning.backbone_lr_ratio, low_lr_head=None, low_lr_ratio=1.0
            ),
            learning=learning,
            inputs=inputs,
        )
    )


def take(folder: Path | None, architecture: Architecture, labels: LabelSpace, split: Split) -> None:
    """Takes the base step's network from a checkpoint, if it is what the parameters speak of."""
    if folder is None or InitialCheckpoint.of(folder) != InitialCheckpoint.read(LAYOUT.initial_checkpoint):
        raise UserError(
            "recipe.base.checkpoint has changed since it was noted: note it with `dvc repro --force prepare`"
        )
    learned = TrainedModel.load(folder)
    asked = (architecture, labels, list(split.class_names))
    found = (learned.model.architecture, learned.labels, list(learned.class_names))
    for what, one, other in zip(("network", "label space", "classes"), asked, found, strict=True):
        if one != other:
            raise UserError(
                f"recipe.base.checkpoint '{folder}' has another {what} than the parameters: {other}, not {one}; "
                "choose the scenario, method and model that it was trained with"
            )
    save_checkpoint(LAYOUT.checkpoint(0), learned.model, meaning_of(labels, split), read_training(folder))
    print(f"step 0: taken from {folder}")


if __name__ == "__main__":
    run(main, alone=False)
