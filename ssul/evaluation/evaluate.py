"""Predicting a list of images and counting what was right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.data.dataset import Picture, SegmentationDataset
from ssul.data.transforms import normalise
from ssul.evaluation.confusion import ConfusionMatrix
from ssul.labels import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab


@dataclass(frozen=True)
class Judged:
    """One image with its prediction.

    Attributes:
        picture: the image and its truth.
        prediction: uint8 (H, W), data set ids.
        confusion: of this image alone.
    """

    picture: Picture
    prediction: Tensor
    confusion: ConfusionMatrix


def evaluate(
    model: IncrementalDeepLab,
    labels: LabelSpace,
    dataset: SegmentationDataset,
    ids: Sequence[str],
    *,
    fabric: Fabric,
    future: Literal["ignore", "background"],
) -> Iterator[Judged]:
    """Predicts images at their full size, one by one, and yields each with its counts.

    Args:
        model, labels: a network and the meaning of its channels.
        dataset, ids: which images.
        fabric: device and precision.
        future: what pixels of classes that are not learned yet count as.
    """
    network = fabric.setup_module(model.to(memory_format=torch.channels_last)).eval()  # type: ignore[call-overload]
    classes = 1 + len(labels.classes)
    for image_id in ids:
        picture = dataset.read(image_id)
        with torch.inference_mode():
            inputs = normalise(fabric.to_device(picture.image[None])).contiguous(memory_format=torch.channels_last)
            positions = labels.predict(network(inputs).float())[0].cpu()
        truth = labels.encode_truth(picture.mask, future)
        yield Judged(picture, labels.decode(positions), ConfusionMatrix.of(truth, positions, classes))
