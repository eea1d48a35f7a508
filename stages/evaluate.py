"""Stages `evaluate_base` and `evaluate_step@K`: the network after a step on all validation images."""

import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from ssul import catalog, config
from ssul.atomic import replaced_folder
from ssul.data.dataset import Picture, SegmentationDataset
from ssul.data.index import ImageIndex, require_unchanged
from ssul.data.layout import VocFolders
from ssul.evaluation.confusion import ConfusionMatrix
from ssul.evaluation.evaluate import evaluate
from ssul.evaluation.results import Results, choose_pictures, save_labels
from ssul.evaluation.scores import score
from ssul.labels import LabelSpace
from ssul.model.checkpoint import load_checkpoint
from ssul.paths import picture_root
from ssul.training.device import choose_device
from stages.entry import LAYOUT, run, shown


def main(step: str) -> None:
    """Writes data/evaluation/step_K, which holds the results of all steps up to K."""
    settings = config.load(LAYOUT.params)
    current = int(step)
    index = ImageIndex.read(LAYOUT.index("val"))
    data_set = catalog.data_set(index.data_set)
    folders = VocFolders(picture_root(settings.data.root, LAYOUT))
    model, meaning = load_checkpoint(LAYOUT.checkpoint(current))
    labels = LabelSpace.from_description(meaning["labels"])
    names = ("background", *meaning["class_names"])
    dataset = SegmentationDataset(folders)
    ids = [row.id for row in index.rows]
    require_unchanged(index.rows, folders, saliency=dataset.saliency)
    kept = set(choose_pictures(index, settings.evaluation.pictures))
    judged = evaluate(
        model, labels, dataset, ids, fabric=choose_device(settings.recipe.precision), future=settings.evaluation.future
    )
    before = Results.read(LAYOUT.evaluation(current - 1)) if current else None
    confusion = ConfusionMatrix.empty(len(names))
    with replaced_folder(LAYOUT.evaluation(current)) as folder:
        if before is not None:
            shutil.copytree(
                LAYOUT.evaluation(current - 1) / "pictures", folder / "pictures", copy_function=shutil.copyfile
            )
        (folder / "pictures").mkdir(exist_ok=True)
        for result in shown(judged, total=len(ids), title=f"evaluate step {current}", unit="image"):
            confusion += result.confusion
            if result.picture.id in kept:
                place = folder / "pictures" / result.picture.id
                keep_truth(place, result.picture, folders, data_set)
                save_labels(place / f"step_{current}.png", result.prediction, data_set.palette)
        group_sizes = tuple(len(group) for group in labels.groups)
        history = before.rows if before else ()
        scores = score(confusion, group_sizes, names, history)
        Results(
            data_set=data_set.name,
            names=names,
            group_sizes=group_sizes,
            images=len(ids),
            rows=(*history, asdict(scores)),
            confusion=tuple(tuple(row) for row in confusion.counts.tolist()),
        ).write(folder)
    told = "  ".join(f"{name} {_percent(getattr(scores, name))}" for name in ("old", "new", "all"))
    print(f"step {current}: mIoU {told}" + (f"  (absent: {', '.join(scores.absent)})" if scores.absent else ""))


def keep_truth(place: Path, picture: Picture, folders: VocFolders, data_set: catalog.DataSet) -> None:
    """Puts an image and its truth beside where its predictions go."""
    place.mkdir(exist_ok=True)
    shutil.copyfile(folders.image(picture.id), place / "image.jpg")
    save_labels(place / "truth.png", picture.mask, data_set.palette)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    run(main, *sys.argv[1:])
