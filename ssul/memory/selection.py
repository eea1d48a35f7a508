"""Choosing the exemplars."""

import random
from collections.abc import Sequence
from typing import Literal

from ssul.memory.exemplars import Exemplar

Strategy = Literal["class_balanced", "random"]


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
        classes: dataset ids of the old classes.
        capacity: how many at most.
        seed: decides everything that is random.
        strategy: `class_balanced` (SSUL, section 3.5): in rounds over the old classes in random order, each class takes
            its first unused candidate, until the memory is full or no candidate is left. `random`: every candidate is
            equally likely.
    """
    rng = random.Random(seed)
    pool = [candidate for candidate in candidates if set(candidate.classes) & set(classes)]
    rng.shuffle(pool)
    if strategy == "random":
        return pool[:capacity]
    return _round_robin(pool, classes, capacity, rng)


def _round_robin(pool: Sequence[Exemplar], classes: Sequence[int], capacity: int, rng: random.Random) -> list[Exemplar]:
    queues = {
        class_id: [candidate for candidate in reversed(pool) if class_id in candidate.classes] for class_id in classes
    }
    chosen: dict[str, Exemplar] = {}
    while len(chosen) < min(capacity, len(pool)):  # the published code loops without end where candidates run out
        for class_id in rng.sample(list(classes), len(classes)):
            queue = queues[class_id]
            while queue and queue[-1].id in chosen:
                queue.pop()
            if queue and len(chosen) < capacity:
                exemplar = queue.pop()
                chosen[exemplar.id] = exemplar
    return list(chosen.values())
