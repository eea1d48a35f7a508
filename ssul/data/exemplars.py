"""The exemplar memory of SSUL-M: which few images of past steps are seen again."""

import json
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ssul.atomic import write_text
from ssul.stored import read_json, refuse_damaged

Strategy = Literal["class_balanced", "random"]


@dataclass(frozen=True)
class Exemplar:
    """An image that may be, or is, in memory.

    Attributes:
        id: its name in the image list.
        captured_steps: the steps whose annotation it carries; their classes are annotated in it, no others.
        classes: ids of the classes that it shows as far as is known: annotated or pseudo-labelled.
    """

    id: str
    captured_steps: tuple[int, ...]
    classes: tuple[int, ...]

    def annotated(self, groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """The class ids that are annotated in it: those of the steps at which it was captured.

        Args:
            groups: the class ids that each step learned.
        """
        return tuple(class_id for step in self.captured_steps for class_id in groups[step])


def merge_candidates(memory: Sequence[Exemplar], images: Sequence[str], step: int) -> list[Exemplar]:
    """The candidates for a memory: the one before, and a step's training images; an image in both is one candidate.

    Args:
        memory: the previous memory.
        images: ids of the training images of `step`.
        step: the step that has just been learned.

    Returns:
        Candidates in a fixed order, with no classes yet: what they show is the caller's to find out.
    """
    captured: dict[str, tuple[int, ...]] = {exemplar.id: exemplar.captured_steps for exemplar in memory}
    for image_id in images:
        captured[image_id] = (*captured.get(image_id, ()), step)
    return [Exemplar(image_id, steps, ()) for image_id, steps in captured.items()]


def captured_again(memory: Sequence[Exemplar], images: Collection[str], step: int) -> list[Exemplar]:
    """A memory as it is rehearsed: an exemplar that is also among a step's own images carries its annotation too.

    The step gives this annotation anyway. Without it the same object would be a new class in one half of a batch and
    unknown in the other, and the new classes would learn from both.

    Args:
        memory: the exemplars.
        images: ids of the training images of `step`.
        step: the step that rehearses.
    """
    return [
        replace(exemplar, captured_steps=(*exemplar.captured_steps, step)) if exemplar.id in images else exemplar
        for exemplar in memory
    ]


def choose(
    candidates: Sequence[Exemplar],
    classes: Sequence[int],
    capacity: int,
    seed: int,
    strategy: Strategy = "class_balanced",
) -> list[Exemplar]:
    """Chooses a memory among the candidates that show an old class.

    Args:
        candidates: see `merge_candidates`, with their classes.
        classes: the old classes.
        capacity: how many at most.
        seed: decides everything that is random.
        strategy: `class_balanced` (SSUL, section 3.5): the old classes are gone round in random order, each time
            taking the first unused candidate that shows the class, until the memory is full or nothing is left to
            take. `random`: every candidate is equally likely.
    """
    chance = random.Random(seed)
    pool = [candidate for candidate in candidates if set(candidate.classes) & set(classes)]
    chance.shuffle(pool)
    if strategy == "random":
        return pool[:capacity]
    return _go_round(pool, classes, capacity, chance)


def _go_round(pool: Sequence[Exemplar], classes: Sequence[int], capacity: int, chance: random.Random) -> list[Exemplar]:
    queues = {
        class_id: [candidate for candidate in reversed(pool) if class_id in candidate.classes] for class_id in classes
    }
    chosen: dict[str, Exemplar] = {}
    while len(chosen) < min(capacity, len(pool)):  # the published code never ends where candidates run out
        for class_id in chance.sample(list(classes), len(classes)):
            queue = queues[class_id]
            while queue and queue[-1].id in chosen:
                queue.pop()
            if queue and len(chosen) < capacity:
                exemplar = queue.pop()
                chosen[exemplar.id] = exemplar
    return list(chosen.values())


def write_exemplars(path: Path, exemplars: Sequence[Exemplar]) -> None:
    """Writes a memory as JSON, one exemplar a line."""
    rows = ",\n".join(
        json.dumps({"id": exemplar.id, "captured_steps": exemplar.captured_steps, "classes": exemplar.classes})
        for exemplar in exemplars
    )
    write_text(path, f"[\n{rows}\n]\n" if rows else "[]\n")


def read_exemplars(path: Path) -> list[Exemplar]:
    """Reads what `write_exemplars` wrote.

    Raises:
        UserError: if the file is missing or damaged.
    """
    told = {"what": "the exemplar memory", "way_out": "run `dvc repro`"}
    exemplars = read_json(path, tuple[Exemplar, ...], **told)
    numbers = [number for one in exemplars for number in (*one.captured_steps, *one.classes)]
    faults = {
        "an image is there twice": len({one.id for one in exemplars}) < len(exemplars),
        "a step or a class is below 0": min(numbers, default=0) < 0,
    }
    refuse_damaged(path, faults, **told)
    return list(exemplars)
