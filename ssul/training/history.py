"""The loss curve of a step: a few points to look at."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ssul.training.loop import TrainingProgress

_POINTS = 100  # at most


@dataclass
class TrainingHistory:
    """The curve of one step; each point is the mean over a window of iterations of the same length.

    Nothing in it depends on the machine's speed.

    Attributes:
        step: index.
        learned: names of the new classes.
        hardware: see `ssul.inference.device.device_name`.
        images, exemplars: their numbers.
        iterations: in total.
        points: `iteration` (the last of the window), `loss`, `lr` and the further numbers of the method.
        window: loss and further numbers of each iteration since the last point.
    """

    step: int
    learned: Sequence[str]
    hardware: str
    images: int
    exemplars: int
    iterations: int
    points: list[dict[str, float]] = field(default_factory=list)
    window: list[dict[str, float]] = field(default_factory=list, repr=False)

    def add(self, progress: TrainingProgress) -> dict[str, float] | None:
        """Adds an iteration; returns the point that it completes, if any."""
        self.window.append({"loss": progress.loss} | progress.parts)
        length = math.ceil(self.iterations / _POINTS)
        if len(self.window) < length and progress.iteration < self.iterations:
            return None
        means = {name: _mean([one[name] for one in self.window]) for name in self.window[0]}
        point = {"iteration": progress.iteration, "loss": means.pop("loss"), "lr": progress.lr} | means
        self.window = []
        self.points.append(point)
        return point

    def describe(self) -> dict[str, Any]:
        """The curve as JSON, for a checkpoint."""
        content = asdict(self)
        del content["window"]
        return content


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
