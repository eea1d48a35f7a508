"""Stages `evaluate_base` and `evaluate_step@K`: the network after a step on validation and held-out images."""

import sys
from functools import partial

from ssul.config.paths import LAYOUT, data_root
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.step import ImageSet, StepEvaluation, score_lines
from ssul.inference.device import beside, choose_device
from ssul.inference.processes import fabric_settings, launch
from ssul.inference.trained_model import TrainedModel
from ssul.io.atomic import replace_dir
from ssul.pipeline.nodes import spread_over_nodes
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
    trained, images = TrainedModel.load(LAYOUT.checkpoint(current)), ImageSet.of(val, val.rows, root)
    held_out = ImageSet.of(train, [row for row in train.rows if row.id in kept_back], root, saliency=saliency)
    spread_over_nodes()
    processes = choose_device(settings.recipe.precision, fabric_settings())
    rank, _ = launch(processes)
    protocol = Protocol.of(asked, beside(processes, settings.recipe.precision))
    evaluation = StepEvaluation(trained, current, val, images, held_out, asked.examples, protocol)
    watch = partial(with_progress, unit="image", silent=rank > 0)
    observed = evaluation.observe(processes, lambda found, count, title: watch(found, total=count, title=title))
    if rank > 0:
        return
    previous = LAYOUT.evaluation(current - 1) if current else None
    with replace_dir(LAYOUT.evaluation(current)) as folder:
        scores = evaluation.write(folder, previous, *observed, DatasetInfo.read(LAYOUT.dataset_info).palette)
        provenance.record()
    print(score_lines(scores))


if __name__ == "__main__":
    run(main, *sys.argv[1:])
