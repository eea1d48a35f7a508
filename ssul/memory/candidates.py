"""Which classes the candidates for the exemplar memory show, as far as is known after a step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from lightning_fabric import Fabric

from ssul.data.dataset import SegmentationDataset
from ssul.data.transforms import normalise
from ssul.labels.ids import VOID
from ssul.labels.scores import pseudo_labels
from ssul.labels.space import LabelSpace
from ssul.memory.exemplars import Exemplar
from ssul.model.deeplab import IncrementalDeepLab


def with_annotated_classes(
    candidates: Sequence[Exemplar], present: Mapping[str, Sequence[int]], groups: Sequence[Sequence[int]]
) -> list[Exemplar]:
    """Candidates with the classes that are annotated in them and that their mask shows."""
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
    """Adds to each candidate the classes that the network is sure of where nothing is annotated.

    Args:
        candidates: with their annotated classes.
        model, labels: the network after the step before, and the meaning of its channels.
        dataset: where the pictures are.
        fabric: device and precision.
        threshold: as for the pseudo-labels of training.
    """
    network = fabric.setup_module(model.to(memory_format=torch.channels_last)).eval()  # type: ignore[call-overload]
    for candidate in candidates:
        picture = dataset.read(candidate.id)
        target = labels.encode(picture.mask, picture.saliency, candidate.annotated(labels.groups))
        with torch.inference_mode():
            inputs = normalise(fabric.to_device(picture.image[None])).contiguous(memory_format=torch.channels_last)
            sure = pseudo_labels(labels, network(inputs).float(), threshold)[0].cpu()
        channels = set(sure[(target <= labels.background_channel) & (sure != VOID)].tolist())
        pseudo = {labels.class_of(channel) for channel in channels}
        yield replace(candidate, classes=tuple(sorted({*candidate.classes, *pseudo})))
