"""Stage `train_base`: the network learns the base classes (step 0), or is taken from a checkpoint."""

from ssul.config.paths import LAYOUT, given_checkpoint, weights_file
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.data.sampling import seed_everything
from ssul.inference.trained_model import TrainedModel
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.pipeline.train import train
from ssul.scenario.splits import Split
from ssul.training.job import training_job
from ssul.training.objective import base_objective


def main() -> None:
    """Writes data/checkpoints/step_0."""
    provenance = Provenance.read("train_base")
    params, split = provenance.params, Split.read(LAYOUT.split(0))
    method = params.method
    labels = LabelSpace(split.groups, method.unknown, method.activation, method.constant_background)
    network = params.model.model_dump(exclude={"weights"})
    recorded = InitialCheckpoint.read(LAYOUT.initial_checkpoint)
    if recorded.digest is not None:
        folder = recorded.require_unchanged(given_checkpoint(params.recipe.base.checkpoint))
        taken = TrainedModel.load(folder).as_base(network, labels, split.class_names)
        provenance.record()
        taken.save(LAYOUT.checkpoint(0), training=folder)
        print(f"step 0: taken from {folder}")
        return
    seed_everything(params.seed, "base")
    architecture = Architecture(**network, constant_head=labels.constant_head)
    model = IncrementalDeepLab(architecture, labels.head_sizes, weights_file(params.model.weights))
    objective = base_objective(model, labels, method.loss, method.positive_weight)
    train(training_job(params, split, objective, layout=LAYOUT), provenance)


if __name__ == "__main__":
    run(main, alone=False)
