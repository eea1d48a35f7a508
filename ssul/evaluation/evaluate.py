"""Predicts images and counts their confusion matrices."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ssul.data.dataset import LabeledImage, SegmentationDataset
from ssul.data.transforms import centre_crop
from ssul.evaluation.image_counts import ImageCounts
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.small_masks import LONGEST_SIDE, SmallMasks
from ssul.inference.confusion import ConfusionMatrix
from ssul.inference.predict import predict, predict_images, setup_for_inference
from ssul.labels.background import Background
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab


@dataclass(frozen=True)
class EvaluatedImage:
    """One image with its prediction.

    Attributes:
        image: the image and its ground truth, cropped where the protocol crops; on the CPU.
        prediction: uint8 (H, W) of the same size, dataset ids; on the network's device.
        confusion: of this image alone, over `Background.names`; likewise.
    """

    image: LabeledImage
    prediction: Tensor
    confusion: ConfusionMatrix


def evaluate_images(
    model: IncrementalDeepLab,
    labels: LabelSpace,
    dataset: SegmentationDataset,
    ids: Sequence[str],
    *,
    protocol: Protocol,
    background: Background,
) -> Iterator[EvaluatedImage]:
    """Predicts images one by one and yields each with its counts.

    Args:
        model, labels: a network and the meaning of its channels.
        dataset, ids: which images.
        protocol: see `Protocol`.
        background: whether it is predicted and counted.
    """
    fabric = protocol.fabric
    images = (_cropped(dataset.read(image_id), protocol.crop) for image_id in ids)
    for image, inputs, low_res in predict_images(setup_for_inference(model, fabric), images, fabric.device):
        corners = model.align_corners
        prediction = predict(labels, low_res, inputs, background=background.predicted, align_corners=corners)[0]
        truth = labels.encode_ground_truth(fabric.to_device(image.mask), protocol.future)
        counts = ConfusionMatrix.of(truth, prediction, labels.num_classes)
        confusion = counts if background.counted else counts.without_background()
        yield EvaluatedImage(image, labels.decode(prediction), confusion)


class ImageCounter:
    """Counts the pixels of each image that passes. On a GPU nothing is copied before `counts`."""

    def __init__(self) -> None:
        """Without any image yet."""
        self._counts: dict[str, Tensor] = {}

    def watch(self, evaluated: Iterable[EvaluatedImage]) -> Iterator[EvaluatedImage]:
        """Passes images on."""
        for one in evaluated:
            matrix = one.confusion.counts
            self._counts[one.image.id] = torch.stack((matrix.diag(), matrix.sum(1), matrix.sum(0)), dim=1)  # (K, 3)
            yield one

    def counts(self) -> ImageCounts:
        """The counts of all images that have passed, in their order."""
        return {
            image_id: [(place, *one) for place, one in enumerate(counts.tolist()) if one[1] or one[2]]
            for image_id, counts in self._counts.items()
        }


class MaskKeeper:
    """Keeps the masks of each image that passes, small. On a GPU nothing is copied before `masks`."""

    def __init__(self) -> None:
        """Without any image yet."""
        self._masks: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(self, evaluated: Iterable[EvaluatedImage]) -> Iterator[EvaluatedImage]:
        """Passes images on."""
        for one in evaluated:
            self._masks[one.image.id] = shrink(one.image.mask), shrink(one.prediction)
            yield one

    def masks(self) -> SmallMasks:
        """The ground truth and the prediction of all images that have passed, in their order."""
        return {one: (truth.numpy(), predicted.cpu().numpy()) for one, (truth, predicted) in self._masks.items()}


def shrink(mask: Tensor, longest: int = LONGEST_SIDE) -> Tensor:
    """Evenly spaced pixels of a mask (H, W), so that its longer side has `longest` at most; a small one stays whole."""
    scale = min(1.0, longest / max(mask.shape))
    rows, columns = (_centres(side, max(1, round(side * scale)), mask.device) for side in mask.shape)
    return mask[rows][:, columns]


def sum_confusion(evaluated: Iterable[EvaluatedImage], classes: int) -> ConfusionMatrix:
    """The counts of all images together, for `classes` classes (background included where it is counted)."""
    counts = ConfusionMatrix.empty(classes)
    for one in evaluated:
        counts = one.confusion + counts  # in this order: they stay on the device until the end
    return counts.cpu()


def _centres(side: int, count: int, device: torch.device) -> Tensor:
    """The pixels in the middle of `count` equal parts of a side."""
    return ((torch.arange(count, device=device) + 0.5) * (side / count)).long()


def _cropped(labeled: LabeledImage, crop: int | None) -> LabeledImage:
    if crop is None:
        return labeled
    image, mask = centre_crop(labeled.image, labeled.mask, crop)
    return replace(labeled, image=image, mask=mask, saliency=None)  # no score depends on saliency
