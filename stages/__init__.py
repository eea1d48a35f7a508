"""One thin script per DVC stage, run as `python -m stages.NAME`."""

import gc
import sys

# What imports make lives on, and the collector of garbage would go through it again and again: a fifth of a start.
# `ssul.pipeline.run` lets it work again. `python -m` calls itself so until it has found the module; whatever else
# imports a stage, such as a test, keeps its collector.
if sys.argv[0] == "-m":
    gc.disable()
