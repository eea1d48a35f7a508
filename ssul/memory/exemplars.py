"""Exemplars: a few images of past steps on which later steps train again."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors

from ssul.io.atomic import write_text
from ssul.io.strict_json import check_consistent, read_json


@dataclass(frozen=True)
class Exemplar:
    """An image that may be, or is, in memory.

    Attributes:
        id: its name in the image list.
        annotated_steps: the steps whose annotation it carries; their classes are annotated in it, no others.
        classes: ids of the classes that it shows as far as known: annotated or pseudo-labelled.
    """

    id: str
    annotated_steps: tuple[int, ...]
    classes: tuple[int, ...]

    def annotated(self, groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """The class ids that are annotated in it: those of its annotated steps.

        Args:
            groups: the class ids that each step learned.
        """
        return tuple(class_id for step in self.annotated_steps for class_id in groups[step])


def merge_candidates(memory: Sequence[Exemplar], images: Sequence[str], step: int) -> list[Exemplar]:
    """The candidates for a memory: the previous memory and a step's training images; an image in both is one candidate.

    Args:
        memory: the previous memory.
        images: ids of the training images of `step`.
        step: the step that has just been learned.

    Returns:
        Candidates in a fixed order, without classes: the caller adds these.
    """
    steps_of: dict[str, tuple[int, ...]] = {exemplar.id: exemplar.annotated_steps for exemplar in memory}
    for image_id in images:
        steps_of[image_id] = (*steps_of.get(image_id, ()), step)
    return [Exemplar(image_id, steps, ()) for image_id, steps in steps_of.items()]


def add_current_annotation(memory: Sequence[Exemplar], images: Collection[str], step: int) -> list[Exemplar]:
    """A memory as it is rehearsed: an exemplar that is also among a step's own images carries its annotation too.

    The step has this annotation anyway. Without it the same object would be a new class in one half of a batch and
    unknown in the other, and the new classes would learn from both.

    Args:
        memory: the exemplars.
        images: ids of the training images of `step`.
        step: the step that rehearses.
    """
    return [
        replace(exemplar, annotated_steps=(*exemplar.annotated_steps, step)) if exemplar.id in images else exemplar
        for exemplar in memory
    ]


def write_exemplars(path: Path, exemplars: Sequence[Exemplar]) -> None:
    """Writes a memory as JSON, one exemplar in each line."""
    rows = ",\n".join(
        json.dumps({"id": exemplar.id, "annotated_steps": exemplar.annotated_steps, "classes": exemplar.classes})
        for exemplar in exemplars
    )
    write_text(path, f"[\n{rows}\n]\n" if rows else "[]\n")


def write_nothing_kept(path: Path) -> None:
    """Writes a file of no tensors, for a method that keeps nothing; without torch, so that no stage waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(safetensors.serialize({}))


def read_exemplars(path: Path) -> list[Exemplar]:
    """Reads a file of `write_exemplars`.

    Raises:
        UserError: if the file is missing or damaged.
    """
    context = {"what": "the exemplar memory", "way_out": "run `dvc repro`"}
    exemplars = read_json(path, tuple[Exemplar, ...], **context)
    numbers = [number for one in exemplars for number in (*one.annotated_steps, *one.classes)]
    faults = {
        "an image is repeated": len({one.id for one in exemplars}) < len(exemplars),
        "a step or a class is below 0": min(numbers, default=0) < 0,
    }
    check_consistent(path, faults, **context)
    return list(exemplars)
