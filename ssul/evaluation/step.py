"""Evaluates one step: scores, example images, and the rows of the steps before it."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.evaluation.evaluate import EvaluatedImage, ImageCounter, MaskKeeper, evaluate_images, sum_confusion
from ssul.evaluation.examples import choose_examples, save_examples
from ssul.evaluation.image_counts import write_counts
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.results import Results
from ssul.evaluation.scores import Holdout, Scores, score, score_holdout
from ssul.evaluation.small_masks import write_masks
from ssul.inference.trained_model import TrainedModel
from ssul.labels.colours import Colour
from ssul.model.checkpoint import read_training

Rows = tuple[dict[str, Any], ...]
Watch = Callable[[Iterator[EvaluatedImage], int, str], Iterator[EvaluatedImage]]
"""Passes evaluated images on; it also gets their number and a title, as a progress bar needs them."""


@dataclass(frozen=True)
class ImageSet:
    """Images to evaluate, which are on disk as they were indexed.

    Attributes:
        dataset: reads them, without saliency maps, because no score depends on saliency.
        ids: which of its images.
    """

    dataset: SegmentationDataset
    ids: list[str]

    @classmethod
    def of(cls, index: ImageIndex, rows: Sequence[IndexRow], root: Path, *, saliency: bool = False) -> "ImageSet":
        """Some images of an index.

        Args:
            index: of their split.
            rows: of the images.
            root: the data root.
            saliency: whether the saliency maps must be unchanged too.

        Raises:
            UserError: if a file is missing or has another size than when it was indexed.
        """
        dataset = SegmentationDataset.of(index, root, saliency=False)
        require_unchanged(rows, dataset.folders, saliency=saliency)
        return cls(dataset, [row.id for row in rows])


def evaluate_step(
    folder: Path,
    checkpoint: Path,
    previous: Path | None,
    *,
    step: int,
    index: ImageIndex,
    images: ImageSet,
    held_out: ImageSet,
    examples: int,
    palette: Sequence[Colour],
    protocol: Protocol,
    watch: Watch,
) -> Scores:
    """Evaluates the network after a step and writes all that `ssul.evaluation.results` lists.

    Args:
        folder: gets them; it exists and is empty.
        checkpoint: the network after the step.
        previous: the folder of the step before; None at step 0.
        step: index.
        index: of the validation images; the choice of the examples depends on it alone. It also knows all classes, and
            whether there is a background.
        images: all validation images.
        held_out: training images that no step so far trained on; may be empty. Each belongs to one of these steps, so
            that it shows a learned class: all are scored, whatever `Protocol.images` says.
        examples: how many validation images are kept as examples.
        palette: RGB 0..255 of the background and of each class.
        protocol: see `Protocol`.
        watch: sees every image pass.

    Raises:
        UserError: if the checkpoint or the previous results cannot be read, or no validation image is scored.
    """
    trained = TrainedModel.load(checkpoint)
    in_data, classes = index.values.background, len(index.class_names)
    background = protocol.background(trained.labels, in_data=in_data, classes=classes)
    names = background.names(trained.class_names)
    group_sizes = tuple(len(group) for group in trained.labels.groups)
    scored, chosen = set(protocol.scored(index.present, trained.labels)), set(choose_examples(index, examples))
    predicted = replace(images, ids=[one for one in images.ids if one in scored or one in chosen])
    history, curves = copy_previous(previous, folder)
    curve = read_training(checkpoint)

    def evaluated(some: ImageSet, title: str) -> Iterator[EvaluatedImage]:
        found = evaluate_images(
            trained.model,
            trained.labels,
            some.dataset,
            some.ids,
            protocol=protocol,
            background=background,
        )
        return watch(found, len(some.ids), title)

    saved = save_examples(
        evaluated(predicted, f"evaluate step {step}"), chosen, folder / "examples", step=step, palette=palette
    )
    counter, keeper = ImageCounter(), MaskKeeper()
    confusion = sum_confusion(keeper.watch(counter.watch(one for one in saved if one.image.id in scored)), len(names))
    write_counts(folder, counter.counts())
    write_masks(folder, keeper.masks())
    scores = score(confusion, group_sizes, names, history, background=background, unscored=index.known_but_not_shown)
    if held_out.ids:
        holdout = score_holdout(
            sum_confusion(evaluated(held_out, f"evaluate step {step}, held out"), len(names)),
            group_sizes,
            names,
            images=len(held_out.ids),
            background=background,
        )
        scores = replace(scores, holdout=holdout)
    Results(
        data_set=index.data_set,
        has_background=index.values.background,
        names=names,
        group_sizes=group_sizes,
        images=len(scored),
        rows=(*history, asdict(scores)),
        confusion=tuple(tuple(row) for row in confusion.counts.tolist()),
        training=(*curves, *([curve] if curve else [])),
    ).write(folder)
    return scores


def copy_previous(previous: Path | None, folder: Path) -> tuple[Rows, Rows]:
    """Copies the example images of the step before into an evaluation folder.

    Returns:
        The scores and the training curves of all steps before.
    """
    (folder / "examples").mkdir()
    if previous is None:
        return (), ()
    # copyfile: what DVC links from its cache is read-only, and the copies must be writable
    shutil.copytree(previous / "examples", folder / "examples", copy_function=shutil.copyfile, dirs_exist_ok=True)
    results = Results.read(previous)
    return results.rows, results.training


def score_lines(scores: Scores) -> str:
    """The mean IoUs of a step in percent as lines of text."""
    absent = f"  (absent: {', '.join(scores.absent)})" if scores.absent else ""
    lines = [f"step {scores.step}: mIoU {_means(scores)}{absent}"]
    if scores.holdout is not None:
        lines.append(
            f"step {scores.step}: on {scores.holdout.images} held-out training images {_means(scores.holdout)}"
        )
    return "\n".join(lines)


def _means(scores: Scores | Holdout) -> str:
    means = {"old": scores.old, "new": scores.new, "all": scores.all, "hIoU": scores.hiou}
    return "  ".join(f"{name} {_percent(value)}" for name, value in means.items())


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
