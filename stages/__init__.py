"""One thin script per DVC stage, run as `python -m stages.NAME`."""

import gc
import sys

# What imports make lives on, and the collector would go through it again and again: a fifth of a stage's start.
# `ssul.pipeline.run` lets it work again. Python gives this name to a module that is still being located.
if sys.argv[0] == "-m":
    gc.disable()
