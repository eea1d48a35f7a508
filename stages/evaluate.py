"""Stages `evaluate_base` and `evaluate_step@K`: the network after a step on all validation images.

Training images that were held out are judged too, if there are any.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ssul.config.load import load_params
from ssul.config.paths import LAYOUT, data_root
from ssul.config.schema import DataParams, Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.evaluation.evaluate import EvaluatedImage, evaluate, total
from ssul.evaluation.examples import choose_examples, save_examples
from ssul.evaluation.results import Results
from ssul.evaluation.scores import Holdout, Scores, score, score_holdout
from ssul.inference.device import choose_device
from ssul.inference.trained_model import TrainedModel
from ssul.io.atomic import replace_dir
from ssul.labels.space import LabelSpace
from ssul.model.checkpoint import read_training
from ssul.model.deeplab import IncrementalDeepLab
from ssul.pipeline.progress import shown
from ssul.pipeline.run import run
from ssul.scenario.splits import Split

Rows = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Images:
    """Images to be judged."""

    dataset: SegmentationDataset
    ids: list[str]


def main(step: str) -> None:
    """Writes data/evaluation/step_K, which holds the results of all steps up to K."""
    settings = load_params(LAYOUT.params)
    current = int(step)
    index = ImageIndex.read(LAYOUT.index("val"))
    images, held_out = validation_images(settings.data, index), held_out_images(settings.data, current)
    learned = TrainedModel.load(LAYOUT.checkpoint(current))
    model, labels = learned.model, learned.labels
    names = ("background", *learned.class_names)
    group_sizes = tuple(len(group) for group in labels.groups)
    kept, palette = (
        set(choose_examples(index, settings.evaluation.examples)),
        DatasetInfo.read(LAYOUT.dataset_info).palette,
    )
    with replace_dir(LAYOUT.evaluation(current)) as folder:
        history, curves = previous_results(current, folder)
        curve = read_training(LAYOUT.checkpoint(current))
        judged = judge(model, labels, images, settings, title=f"evaluate step {current}")
        confusion = total(save_examples(judged, kept, folder / "pictures", step=current, palette=palette), len(names))
        scores = score(confusion, group_sizes, names, history, has_background=index.values.background)
        if held_out.ids:
            judged = judge(model, labels, held_out, settings, title=f"evaluate step {current}, held out")
            holdout = score_holdout(
                total(judged, len(names)),
                group_sizes,
                names,
                images=len(held_out.ids),
                has_background=index.values.background,
            )
            scores = replace(scores, holdout=holdout)
        Results(
            data_set=index.data_set,
            has_background=index.values.background,
            names=names,
            group_sizes=group_sizes,
            images=len(images.ids),
            rows=(*history, asdict(scores)),
            confusion=tuple(tuple(row) for row in confusion.counts.tolist()),
            training=(*curves, *([curve] if curve else [])),
        ).write(folder)
    tell(scores)


def validation_images(data: DataParams, index: ImageIndex) -> Images:
    """All validation images."""
    dataset = SegmentationDataset.of(index, data_root(data.root, LAYOUT), saliency=False)
    return unchanged(dataset, index.rows)


def held_out_images(data: DataParams, step: int) -> Images:
    """The training images that this step and those before it would have trained on; perhaps none."""
    index, held_out = ImageIndex.read(LAYOUT.index("train")), set(Split.read(LAYOUT.split(step)).holdout)
    images = unchanged(
        SegmentationDataset.of(index, data_root(data.root, LAYOUT), saliency=data.saliency == "maps"),
        [row for row in index.rows if row.id in held_out],
    )
    return replace(images, dataset=replace(images.dataset, saliency=False))  # no score looks at saliency


def unchanged(dataset: SegmentationDataset, rows: Sequence[IndexRow]) -> Images:
    """Images that are on disk as they were when they were indexed, or a refusal."""
    require_unchanged(rows, dataset.folders, saliency=dataset.saliency)
    return Images(dataset, [row.id for row in rows])


def previous_results(step: int, folder: Path) -> tuple[Rows, Rows]:
    """Copies the pictures of the step before into an evaluation folder.

    Returns:
        the scores and the training curves of all steps before.
    """
    (folder / "pictures").mkdir()
    if step == 0:
        return (), ()
    before = LAYOUT.evaluation(step - 1)
    # copyfile: what DVC links from its cache is read-only, and its copies must not be
    shutil.copytree(before / "pictures", folder / "pictures", copy_function=shutil.copyfile, dirs_exist_ok=True)
    results = Results.read(before)
    return results.rows, results.training


def judge(
    model: IncrementalDeepLab, labels: LabelSpace, images: Images, settings: Params, *, title: str
) -> Iterator[EvaluatedImage]:
    """Predicts images under a progress bar, by the protocol of the parameters."""
    judged = evaluate(
        model,
        labels,
        images.dataset,
        images.ids,
        fabric=choose_device(settings.recipe.precision),
        future=settings.evaluation.future,
        crop={"full": None, "crop": settings.evaluation.crop}[settings.evaluation.protocol],
    )
    return shown(judged, total=len(images.ids), title=title, unit="image")


def tell(scores: Scores) -> None:
    """Prints the mean IoUs of a step."""
    absent = f"  (absent: {', '.join(scores.absent)})" if scores.absent else ""
    print(f"step {scores.step}: mIoU {_means(scores)}{absent}")
    if scores.holdout is not None:
        print(f"step {scores.step}: on {scores.holdout.images} held-out training images {_means(scores.holdout)}")


def _means(scores: Scores | Holdout) -> str:
    return "  ".join(f"{name} {_percent(getattr(scores, name))}" for name in ("old", "new", "all"))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    run(main, *sys.argv[1:])
