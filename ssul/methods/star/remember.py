"""What STAR keeps after a step: one pass over its images with the network as it has learned them."""

import torch
from torch import Tensor

from ssul.methods.remember import PastStep
from ssul.methods.star.cells import at_cell_centres
from ssul.methods.star.feature_sums import FeatureSums
from ssul.methods.star.kept import Kept


def remember(past: PastStep) -> dict[str, Tensor]:
    """The tensors of `Kept`, of all classes so far: those of the step, after those that were kept for it."""
    learned, background = _count(past)
    if not past.kept:
        return Kept.after_base(learned, background, images_repeat=past.setting == "overlapped").tensors
    return Kept.of(past.kept).after_increment(learned, past.outputs["predicted"]).tensors


def _count(past: PastStep) -> tuple[FeatureSums, int]:
    """The sums over the step's classes, and the number of its background features."""
    model, labels, new = past.trained.model, past.trained.labels, past.split.new
    first, sums, background = labels.channel_of(new[0]), None, 0
    for images, target in past.batches:
        with torch.inference_mode():
            features = model.head_input(model.features(images))
        found = at_cell_centres(target, features)
        part = FeatureSums.of(features, found.long() - first, len(new))
        sums = part if sums is None else sums + part
        background += int((found == labels.background_channel).sum())
    assert sums is not None  # `remembered` refuses a step without images
    return sums, background
