"""Which experiment parameters, code and data make: for the report, and for whoever watches a training."""

from ssul.config import Settings
from ssul.report.subject import Subject
from ssul.tracking.experiment import Experiment, fingerprint, flatten, origin
from stages.entry import LAYOUT


def experiment_of(settings: Settings) -> Experiment:
    """The experiment of this working folder, whose data must have been indexed."""
    # scenario.steps follows from the other parameters and would be a parameter for each step
    params = flatten(settings.model_dump(mode="json", exclude={"scenario": {"steps"}}))
    index = [*(LAYOUT.index(split) for split in ("train", "val")), LAYOUT.start]
    subject = Subject.of(settings)
    return Experiment(
        fingerprint(params, LAYOUT.code, index), subject.run_name(settings.seed), vars(subject) | origin(), params
    )
