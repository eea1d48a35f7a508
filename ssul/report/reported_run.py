"""Which run reports/ is of, and in which setup it was made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ssul.config.dotted import affects_results
from ssul.tracking.experiment import Scalar


@dataclass(frozen=True)
class ReportedRun:
    """Which run reports/ is of; `ssul show` reads it, because params.yaml may have changed since.

    Attributes:
        name: see `RunName.with_seed`.
        setup: see `setup_of`.
    """

    name: str
    setup: str


def setup_of(params: Mapping[str, Scalar]) -> str:
    """Sixteen hexadecimal digits: equal for experiments that differ in the method, its memory and the seed alone.

    The increments' part of the recipe belongs to the method.

    Args:
        params: all parameters by dotted names.
    """
    own = ("method.", "memory.", "recipe.increment.", "evaluation.examples", "seed")
    shared = {name: value for name, value in params.items() if affects_results(name) and not name.startswith(own)}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:16]
