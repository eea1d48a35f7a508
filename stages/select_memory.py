"""Stage `select_memory@K`: the exemplars of past steps that are rehearsed during step K."""

import sys

from ssul.config.paths import LAYOUT
from ssul.memory.exemplars import write_exemplars
from ssul.pipeline.progress import with_progress
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run


def main(step: str) -> None:
    """Writes data/memory/step_K.json; an empty list where memory.capacity is 0."""
    provenance, k = Provenance.read("select_memory", step), int(step)
    params = provenance.params
    exemplars = []
    if params.memory.capacity:
        from ssul.memory.step import select_exemplars  # late: without a memory no stage waits for torch

        exemplars = select_exemplars(params, k, LAYOUT, with_progress)
    if len(exemplars) < params.memory.capacity:
        print(f"memory.capacity is {params.memory.capacity}, but only {len(exemplars)} images show an old class")
    provenance.record()
    write_exemplars(LAYOUT.memory(k), exemplars)
    print(f"step {k}: {len(exemplars)} exemplars in memory")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
