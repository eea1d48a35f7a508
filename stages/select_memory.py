"""Stage `select_memory@K`: the exemplars of past steps that are rehearsed during step K."""

import sys

from ssul.config.load import load_params
from ssul.config.paths import LAYOUT, data_root
from ssul.config.schema import Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.data.sampling import derive_seed
from ssul.inference.device import choose_device
from ssul.inference.trained_model import TrainedModel
from ssul.memory.candidates import with_annotated_classes, with_pseudo_classes
from ssul.memory.exemplars import Exemplar, merge_candidates, read_exemplars, write_exemplars
from ssul.memory.selection import choose
from ssul.pipeline.progress import shown
from ssul.pipeline.run import run
from ssul.scenario.splits import Split


def main(step: str) -> None:
    """Writes data/memory/step_K.json; an empty list where memory.capacity is 0."""
    settings = load_params(LAYOUT.params)
    past = int(step) - 1
    chosen: list[Exemplar] = []
    if settings.memory.capacity:
        index = ImageIndex.read(LAYOUT.index("train"))
        split = Split.read(LAYOUT.split(past))
        known = read_exemplars(LAYOUT.memory(past))
        candidates = with_annotated_classes(merge_candidates(known, split.images, past), index.present, split.groups)
        threshold = settings.method.pseudo_threshold
        if past and threshold is not None:  # after the base step every class so far is annotated
            candidates = look(candidates, settings, threshold, index, past)
        classes = [class_id for group in split.groups for class_id in group]
        seed = derive_seed(settings.seed, "memory", step)
        chosen = choose(candidates, classes, settings.memory.capacity, seed, settings.memory.strategy)
        if len(chosen) < settings.memory.capacity:
            print(f"memory.capacity is {settings.memory.capacity}, but only {len(chosen)} images show an old class")
    write_exemplars(LAYOUT.memory(int(step)), chosen)
    print(f"step {step}: {len(chosen)} exemplars in memory")


def look(
    candidates: list[Exemplar], settings: Params, threshold: float, index: ImageIndex, past: int
) -> list[Exemplar]:
    """Lets the network after step `past` say what else the candidates show."""
    learned = TrainedModel.load(LAYOUT.checkpoint(past))
    found = with_pseudo_classes(
        candidates,
        learned.model,
        learned.labels,
        SegmentationDataset.of(index, data_root(settings.data.root, LAYOUT), saliency=settings.data.saliency == "maps"),
        fabric=choose_device(settings.recipe.precision),
        threshold=threshold,
    )
    return list(shown(found, total=len(candidates), title=f"look at candidates after step {past}", unit="image"))


if __name__ == "__main__":
    run(main, *sys.argv[1:])
