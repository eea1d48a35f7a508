"""The classes that the candidates for the exemplar memory show, as far as they are known after a step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lightning_fabric import Fabric

from ssul.data.dataset import SegmentationDataset
from ssul.inference.predict import predict_images, setup_for_inference
from ssul.labels.ids import VOID
from ssul.labels.scores import pseudo_labels
from ssul.labels.space import LabelSpace
from ssul.memory.exemplars import Exemplar
from ssul.model.deeplab import IncrementalDeepLab


def with_annotated_classes(
    candidates: Sequence[Exemplar], present: Mapping[str, Sequence[int]], groups: Sequence[Sequence[int]]
) -> list[Exemplar]:
    """Adds to each candidate the annotated classes that its mask shows."""
    return [
        replace(row, classes=tuple(sorted(set(row.annotated(groups)) & set(present[row.id])))) for row in candidates
    ]


def with_pseudo_classes(
    candidates: Sequence[Exemplar],
    model: IncrementalDeepLab,
    labels: LabelSpace,
    dataset: SegmentationDataset,
    *,
    fabric: Fabric,
    threshold: float,
) -> Iterator[Exemplar]:
    """Adds to each candidate the classes of which the network is sure where nothing is annotated.

    Args:
        candidates: with their annotated classes.
        model, labels: the network after the previous step, and the meaning of its channels.
        dataset: of the images.
        fabric: device and precision.
        threshold: of the score, see `ssul.labels.scores.pseudo_labels`.
    """
    images = (dataset.read(candidate.id) for candidate in candidates)
    predictions = predict_images(setup_for_inference(model, fabric), images, fabric.device)
    for candidate, (image, inputs, low_res) in zip(candidates, predictions, strict=True):
        target = labels.encode(image.mask, image.saliency, candidate.annotated(labels.groups))
        sure = pseudo_labels(labels, model.upsample(low_res, inputs), threshold)[0].cpu()
        channels = set(sure[(target <= labels.background_channel) & (sure != VOID)].tolist())
        pseudo = {labels.class_of(channel) for channel in channels}
        yield replace(candidate, classes=tuple(sorted({*candidate.classes, *pseudo})))
