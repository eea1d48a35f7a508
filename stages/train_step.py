"""Stage `train_step@K`: the network after step K-1 learns the new classes of step K."""

import sys

from ssul.config.paths import LAYOUT
from ssul.data.sampling import seed_everything
from ssul.inference.trained_model import TrainedModel
from ssul.memory.exemplars import read_exemplars
from ssul.memory.rehearsal import rehearsed
from ssul.methods.build import build_objective
from ssul.model.checkpoint import load_tensors
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.pipeline.train import train
from ssul.scenario.splits import Split
from ssul.training.job import training_job


def main(step: str) -> None:
    """Writes data/checkpoints/step_K."""
    provenance, k = Provenance.read("train_step", step), int(step)
    params, split = provenance.params, Split.read(LAYOUT.split(k))
    previous = TrainedModel.load(LAYOUT.checkpoint(k - 1)).require_groups(split.groups[:-1])
    memory = rehearsed(read_exemplars(LAYOUT.memory(k)), split, params.memory, params.method.published_bugs)
    seed_everything(params.seed, "step", k)
    kept = load_tensors(LAYOUT.kept(k))
    objective = build_objective(params.method, previous.model, previous.labels, split.new, kept)
    train(training_job(params, split, objective, layout=LAYOUT, memory=memory), provenance)


if __name__ == "__main__":
    run(main, *sys.argv[1:], alone=False)
