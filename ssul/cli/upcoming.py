"""The training of a step as its stage would make it, before it runs, as far as the stages before it have run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from ssul.config.load import parse_params, read_params
from ssul.config.method import keeps_something
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.config.stages import Stage, read_stages, upstream
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.data.sampling import TrainingItem
from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.inference.trained_model import TrainedModel
from ssul.labels.space import LabelSpace
from ssul.memory.exemplars import read_exemplars
from ssul.memory.rehearsal import rehearsed
from ssul.methods.build import build_objective
from ssul.model.checkpoint import load_tensors
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.pipeline.made_with import require_made_with
from ssul.scenario.splits import Split
from ssul.training.job import TrainingJob, training_job
from ssul.training.objective import Objective


@dataclass(frozen=True)
class UpcomingTraining:
    """The training of a step.

    Attributes:
        params: all parameters.
        job: what would be trained. Without pseudo-labels its network is a stand-in, which decides no sample.
        fabric: the device of the pseudo-labels; None where there are none.
        left_out: what is missing of the training, and why, as sentences.
    """

    params: Params
    job: TrainingJob
    fabric: Fabric | None
    left_out: tuple[str, ...]


def upcoming_training(step: int) -> UpcomingTraining:
    """The training of a step of the project in the working folder.

    Raises:
        UserError: if the step is none of the scenario, trains nothing, or if index or splits are missing or were made
            with other parameters.
    """
    content = read_params(LAYOUT.params)
    params = parse_params(content)
    last = params.scenario.last
    if not 0 <= step <= last:
        raise UserError(f"--step is {step}, but {params.scenario.name} has the steps 0..{last}")
    made = _Made(content, read_stages(LAYOUT.pipeline, content))
    made.require(LAYOUT.splits)
    split, left_out = Split.read(LAYOUT.split(step)), list[str]()
    if not step and InitialCheckpoint.read(LAYOUT.initial_checkpoint).digest is not None:
        raise UserError("step 0 is a checkpoint, recipe.base.checkpoint, and nothing is trained: choose --step 1")
    memory: list[TrainingItem] = []
    fabric, objective = None, _stand_in(params, split)
    if step and params.memory.capacity:
        with _or_left_out("The exemplars, which take a part of each batch,", left_out):
            made.require(LAYOUT.memory(step))
            memory = rehearsed(read_exemplars(LAYOUT.memory(step)), split, params.memory, params.method.published_bugs)
    if step and params.method.adds_pseudo_labels:
        with _or_left_out(f"The pseudo-labels of the network after step {step - 1}", left_out):
            made.require(LAYOUT.checkpoint(step - 1))
            previous = TrainedModel.load(LAYOUT.checkpoint(step - 1)).require_groups(split.groups[:-1])
            kept = load_tensors(LAYOUT.kept(step)) if keeps_something(params.method.name) else None
            fabric = choose_device(params.recipe.precision)
            objective = build_objective(params.method, previous.model, previous.labels, split.new, kept)
    job = training_job(params, split, objective, layout=LAYOUT, memory=memory)
    return UpcomingTraining(params, job, fabric, tuple(left_out))


@dataclass(frozen=True)
class _Made:
    """What the stages have made, under the parameters `content`."""

    content: Mapping[str, Any]
    stages: list[Stage]

    def require(self, output: Path) -> None:
        """Refuses an output if other parameters made it, or what it was made from."""
        stage = next(one for one in self.stages if str(output) in one.outs)
        for one in (*upstream(stage, self.stages), stage):
            require_made_with(one, self.content)


@contextmanager
def _or_left_out(what: str, left_out: list[str]) -> Iterator[None]:
    """Notes why something is left out."""
    try:
        yield
    except UserError as error:
        left_out.append(f"{what} are left out: {error}.")


def _stand_in(params: Params, split: Split) -> Objective:
    """What the labels of a step are, with a small network of random weights."""
    method = params.method
    labels = LabelSpace(split.groups, method.unknown, method.activation, method.constant_background)
    smallest = Architecture("small", "deeplabv3", output_stride=16, width=8, constant_head=labels.constant_head)
    return Objective(IncrementalDeepLab(smallest, labels.head_sizes), labels)
