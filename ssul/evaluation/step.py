"""Evaluates one step: scores, example images, and the rows of the steps before it."""

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow, require_unchanged
from ssul.evaluation.evaluate import EvaluatedImage, evaluate_images
from ssul.evaluation.examples import choose_examples, save_examples
from ssul.evaluation.image_counts import write_counts
from ssul.evaluation.observed import Observed
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.results import Results
from ssul.evaluation.scores import Holdout, Scores, score, score_holdout
from ssul.evaluation.small_masks import write_masks
from ssul.inference.trained_model import TrainedModel
from ssul.labels.background import Background
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


@dataclass(frozen=True)
class StepEvaluation:
    """The evaluation of the network after a step, which several processes may share.

    Attributes:
        trained: the network.
        step: index.
        index: of the validation images; the choice of the examples depends on it alone. It also knows all classes, and
            whether there is a background.
        images: all validation images.
        held_out: training images that no step so far trained on; may be empty. Each belongs to one of these steps, so
            that it shows a learned class: all are scored, whatever `Protocol.images` says.
        examples: how many validation images are kept as examples.
        protocol: see `Protocol`.
    """

    trained: TrainedModel
    step: int
    index: ImageIndex
    images: ImageSet
    held_out: ImageSet
    examples: int
    protocol: Protocol

    @cached_property
    def background(self) -> Background:
        """Whether the background is predicted and counted."""
        in_data, classes = self.index.values.background, len(self.index.class_names)
        return self.protocol.background(self.trained.labels, in_data=in_data, classes=classes)

    @property
    def names(self) -> tuple[str, ...]:
        """What is scored: the background, where it is counted, and all learned classes."""
        return self.background.names(self.trained.class_names)

    @cached_property
    def scored(self) -> list[str]:
        """The validation images that are scored.

        Raises:
            UserError: if there is none.
        """
        return self.protocol.scored(self.index.present, self.trained.labels)

    def observe(self, processes: Fabric, watch: Watch) -> tuple[Observed, Observed]:
        """Predicts the validation images and the held-out ones. Collective: every rank takes its share.

        Args:
            processes: that share the images; `protocol.fabric` is the device of this one.
            watch: sees every image of this process pass.
        """
        scored, shown = set(self.scored), set(choose_examples(self.index, self.examples))
        wanted = [one for one in self.images.ids if one in scored or one in shown]
        title = f"evaluate step {self.step}"

        def observed(some: ImageSet, what: str, **chosen: Collection[str]) -> Observed:
            share = some.ids[processes.global_rank :: processes.world_size]
            model, labels, background = self.trained.model, self.trained.labels, self.background
            found = evaluate_images(model, labels, some.dataset, share, protocol=self.protocol, background=background)
            passing = watch(found, len(share), what) if some.ids else ()
            return Observed.of(passing, len(self.names), **chosen).gathered(processes, some.ids)

        validation = observed(replace(self.images, ids=wanted), title, scored=scored, shown=shown)
        kept_back = set(self.held_out.ids)
        return validation, observed(self.held_out, f"{title}, held out", scored=kept_back, shown=())

    def write(
        self,
        folder: Path,
        previous: Path | None,
        validation: Observed,
        held_out: Observed,
        palette: Sequence[Colour],
    ) -> Scores:
        """Writes all that `ssul.evaluation.results` lists.

        Args:
            folder: gets them; it exists and is empty.
            previous: the folder of the step before; None at step 0.
            validation, held_out: what was observed.
            palette: RGB 0..255 of the background and of each class.

        Raises:
            UserError: if the previous results cannot be read.
        """
        names, background, index = self.names, self.background, self.index
        group_sizes = tuple(len(group) for group in self.trained.labels.groups)
        history, curves = copy_previous(previous, folder)
        curve = read_training(self.trained.folder)
        save_examples(validation.shown, folder / "examples", step=self.step, palette=palette)
        write_counts(folder, validation.counts)
        write_masks(folder, validation.masks)
        unscored = index.known_but_not_shown
        scores = score(validation.confusion, group_sizes, names, history, background=background, unscored=unscored)
        if self.held_out.ids:
            images = len(self.held_out.ids)
            holdout = score_holdout(
                held_out.confusion,
                group_sizes,
                names,
                images=images,
                background=background,
                known=index.class_names[: index.known],
            )
            scores = replace(scores, holdout=holdout)
        Results(
            data_set=index.data_set,
            has_background=index.values.background,
            names=names,
            group_sizes=group_sizes,
            images=len(self.scored),
            rows=(*history, asdict(scores)),
            confusion=tuple(tuple(row) for row in validation.confusion.counts.tolist()),
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
