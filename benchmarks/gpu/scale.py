"""The sizes that a GPU is measured at, and those for a first try on a CPU."""

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.incremental_step import Size


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        device: what is measured.
        check: the network whose results are compared with the CPU's.
        speed: the network whose speed is measured; each case has its own batch.
        voc_batch, ade_batch: of the published recipes.
        iterations: that are timed, after a warm-up.
        crop, epochs: of the real training, and `real_batch` its batch.
        images: a folder in VOC's layout; None draws photographs for the loader, and leaves the real training out.
        weights: of MobileNetV2 for the real training; None draws them.
    """

    device: torch.device
    check: Size
    speed: Size
    voc_batch: int
    ade_batch: int
    iterations: int
    crop: int
    epochs: int
    real_batch: int
    images: Path | None
    weights: Path | None

    @classmethod
    def of(cls, images: Path | None, weights: Path | None, *, small: bool) -> "Scale":
        """The scale that the options ask for."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if small:
            size = Size("mobilenet_v2", 65, 2, 1)
            return cls(device, size, size, 2, 2, 1, 65, 1, 4, images, weights)
        check, speed = Size("resnet50", 129, 2, 5), Size("resnet101", 513, 2, 5)
        return cls(device, check, speed, 32, 24, 12, 160, 8, 16, images, weights)
