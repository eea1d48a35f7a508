"""Stage `select_memory@K`: what step K has of past steps: exemplars, and what the method keeps beside them."""

import sys

from ssul.config.method import keeps_something
from ssul.config.paths import LAYOUT
from ssul.memory.exemplars import write_exemplars, write_nothing_kept
from ssul.pipeline.progress import with_progress
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run


def main(step: str) -> None:
    """Writes data/memory/step_K.json (empty where memory.capacity is 0), and step_K.safetensors, most often empty."""
    provenance, k = Provenance.read("select_memory", step), int(step)
    params = provenance.params
    exemplars = []
    if params.memory.capacity:
        from ssul.memory.step import select_exemplars  # late: without a memory no stage waits for torch

        exemplars = select_exemplars(params, k, LAYOUT, with_progress)
    if len(exemplars) < params.memory.capacity:
        print(f"memory.capacity is {params.memory.capacity}, but only {len(exemplars)} images show an old class")
    kept = None
    if keeps_something(params.method.name):
        from ssul.methods.remember import remembered

        kept = remembered(params, k, LAYOUT, with_progress)
    provenance.record()
    if kept is None:
        write_nothing_kept(LAYOUT.kept(k))
    else:
        kept.write(LAYOUT.kept(k))
    write_exemplars(LAYOUT.memory(k), exemplars)
    print(f"step {k}: {len(exemplars)} exemplars in memory")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
