"""Stages `evaluate_base` and `evaluate_step@K`: the network after a step on the validation images.

Training images that were held out are evaluated too, if there are any.
"""

import sys

from ssul.config.paths import LAYOUT, data_root
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.step import ImageSet, evaluate_step, score_lines
from ssul.inference.device import choose_device
from ssul.io.atomic import replace_dir
from ssul.pipeline.progress import with_progress
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.scenario.splits import Split


def main(step: str) -> None:
    """Writes data/evaluation/step_K, which holds the results of all steps up to K."""
    provenance, current = Provenance.read("evaluate", step), int(step)
    settings, asked = provenance.params, provenance.params.evaluation
    root, saliency = data_root(settings.data.root, LAYOUT), settings.data.saliency == "maps"
    train, val = (ImageIndex.read(LAYOUT.index(split)) for split in ("train", "val"))
    kept_back = set(Split.read(LAYOUT.split(current)).holdout)
    held_out = ImageSet.of(train, [row for row in train.rows if row.id in kept_back], root, saliency=saliency)
    fabric, crop = choose_device(settings.recipe.precision), asked.crop  # both read always, because dvc.yaml lists them
    side = crop if asked.protocol == "crop" else None
    with replace_dir(LAYOUT.evaluation(current)) as folder:
        scores = evaluate_step(
            folder,
            LAYOUT.checkpoint(current),
            LAYOUT.evaluation(current - 1) if current else None,
            step=current,
            index=val,
            images=ImageSet.of(val, val.rows, root),
            held_out=held_out,
            examples=asked.examples,
            palette=DatasetInfo.read(LAYOUT.dataset_info).palette,
            protocol=Protocol(fabric, asked.future, asked.unknown, side, asked.images),
            watch=lambda evaluated, count, title: with_progress(evaluated, total=count, title=title, unit="image"),
        )
        provenance.record()
    print(score_lines(scores))


if __name__ == "__main__":
    run(main, *sys.argv[1:])
