"""The exemplars of a step as training items."""

from collections.abc import Sequence

from ssul.config.method import PublishedBugs
from ssul.config.schema import MemoryParams
from ssul.data.sampling import TrainingItem
from ssul.memory.exemplars import Exemplar, add_current_annotation
from ssul.scenario.splits import Split


def rehearsed(
    exemplars: Sequence[Exemplar], split: Split, memory: MemoryParams, bugs: PublishedBugs
) -> list[TrainingItem]:
    """The exemplars of a step and how they are annotated.

    `captured`: with the classes of the steps that captured them. `present`: with those of this step too, where it
    trains on the same image. `step`: with those of this step alone (DKD-M and STAR-M), so that only the old network
    knows old classes, and new classes are annotated in old images, which a strict protocol does not have.

    Args:
        exemplars: the memory during the step.
        split: the step.
        memory: `annotation` says which.
        bugs: of the published code.
    """
    if memory.annotation == "present":
        exemplars = add_current_annotation(exemplars, split.images, split.step)
    if memory.annotation == "step":
        return [TrainingItem(exemplar.id, split.new) for exemplar in exemplars]
    everything = tuple(class_id for group in split.groups for class_id in group)
    return [
        TrainingItem(
            exemplar.id,
            everything if bugs.memory_annotation else exemplar.annotated(split.groups),
            without_unknown_shift=bugs.memory_labels,
        )
        for exemplar in exemplars
    ]
