"""What is kept of evaluated images. Processes that share the images put it together, exactly."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch.distributed
from lightning_fabric import Fabric

from ssul.evaluation.evaluate import EvaluatedImage, ImageCounter, MaskKeeper, sum_confusion
from ssul.evaluation.image_counts import ImageCounts
from ssul.evaluation.small_masks import SmallMasks
from ssul.inference.confusion import ConfusionMatrix


@dataclass(frozen=True)
class Observed:
    """What is kept of evaluated images; all of it on the CPU.

    Attributes:
        confusion: of the images that are scored, together.
        counts: the same image by image.
        masks: theirs, small.
        shown: the images that are kept whole, scored or not.
    """

    confusion: ConfusionMatrix
    counts: ImageCounts
    masks: SmallMasks
    shown: tuple[EvaluatedImage, ...]

    @classmethod
    def of(
        cls, evaluated: Iterable[EvaluatedImage], classes: int, *, scored: Collection[str], shown: Collection[str]
    ) -> "Observed":
        """Sees images pass.

        Args:
            evaluated: the images.
            classes: of their confusion matrices.
            scored: ids of the images that are scored.
            shown: ids of those that are kept whole.
        """
        whole: list[EvaluatedImage] = []

        def passing() -> Iterator[EvaluatedImage]:
            for one in evaluated:
                if one.image.id in shown:
                    whole.append(replace(one, prediction=one.prediction.cpu(), confusion=one.confusion.cpu()))
                if one.image.id in scored:
                    yield one

        counter, keeper = ImageCounter(), MaskKeeper()
        confusion = sum_confusion(keeper.watch(counter.watch(passing())), classes)
        return cls(confusion, counter.counts(), keeper.masks(), tuple(whole))

    @classmethod
    def joined(cls, parts: Sequence["Observed"], ids: Sequence[str]) -> "Observed":
        """All parts together, their images in the order of `ids`."""
        confusion = parts[0].confusion
        for part in parts[1:]:
            confusion = confusion + part.confusion
        counts = {name: one for part in parts for name, one in part.counts.items()}
        masks = {name: one for part in parts for name, one in part.masks.items()}
        shown = {one.image.id: one for part in parts for one in part.shown}
        return cls(
            confusion,
            {name: counts[name] for name in ids if name in counts},
            {name: masks[name] for name in ids if name in masks},
            tuple(shown[name] for name in ids if name in shown),
        )

    def gathered(self, processes: Fabric, ids: Sequence[str]) -> "Observed":
        """What all processes have observed, their images in the order of `ids`. Collective: every rank must call it."""
        if processes.world_size == 1:
            return self
        parts: list[Observed] = [self] * processes.world_size
        torch.distributed.all_gather_object(parts, self)
        return Observed.joined(parts, ids)
