"""Stage `train_base`: the network learns the base classes (step 0)."""

import torch

from ssul import config
from ssul.data.index import ImageIndex
from ssul.data.splits import Split
from ssul.data.stream import Item, derive_seed
from ssul.labels import LabelSpace
from ssul.methods.objective import Supervised
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.paths import weights_file
from stages.entry import LAYOUT, run
from stages.pictures import training_pictures
from stages.training import train


def main() -> None:
    """Writes data/checkpoints/step_0 from the base step's split."""
    settings = config.load(LAYOUT.params)
    index = ImageIndex.read(LAYOUT.index("train"))
    split = Split.read(LAYOUT.split(0))
    labels = LabelSpace(split.groups, settings.method.unknown, settings.method.activation)
    torch.manual_seed(derive_seed(settings.seed, "base"))
    model = IncrementalDeepLab(
        Architecture(settings.model.trunk, settings.model.head, settings.model.output_stride, settings.model.width),
        labels.head_sizes,
        weights_file(settings.model.weights),
    )
    learning = settings.recipe.base
    train(
        Supervised(model, labels),
        split,
        new=[Item(image_id, split.new) for image_id in split.images],
        memory=[],
        dataset=training_pictures(settings.data, index),
        rows=index.rows,
        groups=model.trainable_groups(learning.lr, trunk_ratio=learning.trunk_lr_ratio, slow_head=None, slow_ratio=1.0),
        learning=learning,
        recipe=settings.recipe,
        seed=settings.seed,
    )


if __name__ == "__main__":
    run(main)
