"""The memory of a step, chosen from the previous memory and the images of the previous step."""

from collections.abc import Callable, Iterable
from typing import Any

from ssul.config.paths import Layout, data_root
from ssul.config.schema import Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.data.sampling import derive_seed
from ssul.inference.device import choose_device
from ssul.inference.trained_model import TrainedModel
from ssul.memory.candidates import with_annotated_classes, with_pseudo_classes
from ssul.memory.exemplars import Exemplar, merge_candidates, read_exemplars
from ssul.memory.selection import choose
from ssul.scenario.splits import Split


def select_exemplars(params: Params, step: int, layout: Layout, show: Callable[..., Iterable[Any]]) -> list[Exemplar]:
    """Chooses the exemplars that are rehearsed during a step (SSUL, section 3.5).

    Args:
        params: all parameters.
        step: from 1.
        layout: where index, splits, the previous memory and checkpoint are.
        show: passes items on under a progress bar.
    """
    past = step - 1
    index, split = ImageIndex.read(layout.index("train")), Split.read(layout.split(past))
    merged = merge_candidates(read_exemplars(layout.memory(past)), split.images, past)
    candidates = with_annotated_classes(merged, index.present, split.groups)
    threshold = params.method.memory_threshold
    if past and threshold is not None:  # after the base step every class so far is annotated
        trained, root = TrainedModel.load(layout.checkpoint(past)), data_root(params.data.root, layout)
        found = with_pseudo_classes(
            candidates,
            trained.model,
            trained.labels,
            SegmentationDataset.of(index, root, saliency=params.data.saliency == "maps"),
            fabric=choose_device(params.recipe.precision),
            threshold=threshold,
        )
        title = f"pseudo-label candidates after step {past}"
        candidates = list(show(found, total=len(candidates), title=title, unit="image"))
    classes = [class_id for group in split.groups for class_id in group]
    seed = derive_seed(params.seed, "memory", str(step))
    return choose(candidates, classes, params.memory.capacity, seed, params.memory.strategy)
