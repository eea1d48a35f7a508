"""The page of `ssul browse`: the first training samples of a step, one file that needs nothing else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from markupsafe import Markup, escape
from numpy.typing import NDArray
from torch import Tensor

from ssul.config.naming import RunName
from ssul.config.schema import Params
from ssul.data.index import ImageIndex
from ssul.labels.colours import VOID_COLOUR, Colour
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME, VOID
from ssul.labels.space import LabelSpace
from ssul.report.inline import inline_masks, inline_pixels
from ssul.report.markdown import count
from ssul.report.page_data import hex_colour
from ssul.report.samples import TrainingSample
from ssul.report.templates import page_asset, page_template, within_script
from ssul.training.job import TrainingJob

UNKNOWN_ID = VOID - 1
"""What stands for the unknown in the page's masks; no class has this id."""
_MOST_NAMES = 6  # in the title
_NEW, _OLD = "a class of this step", "a class of an earlier step"
_UNKNOWN_COLOUR: Colour = (135, 135, 150)  # the mean of its hatching


@dataclass(frozen=True)
class _Label:
    """A label of a target.

    Attributes:
        id: in the page's masks.
        name, colour: on the page.
        kind: what it is, in words.
    """

    id: int
    name: str
    colour: str
    kind: str


def write_samples_page(
    settings: Params,
    job: TrainingJob,
    samples: Sequence[TrainingSample],
    *,
    index: ImageIndex,
    palette: Sequence[Colour],
    left_out: Sequence[str],
) -> str:
    """The page as HTML, the same bytes for the same samples.

    Args:
        settings: all parameters.
        job: the training that the samples belong to.
        samples: in its order, at least one.
        index: of the training images.
        palette: RGB 0..255 of the background and of each class.
        left_out: what the page cannot show, as sentences.
    """
    labels, order = job.objective.labels, job.order
    legend = _legend(labels, index, palette)
    annotated = [page_ids(labels, one.target) for one in samples]
    trained = [None if one.completed is None else page_ids(labels, one.completed) for one in samples]
    completed = [mask for mask in trained if mask is not None]
    data = {
        "labels": [vars(one) for one in legend],
        "unknown": UNKNOWN_ID,
        "completes": bool(completed),
        "samples": [
            _sample(one, before, after, labels, index)
            for one, before, after in zip(samples, annotated, trained, strict=True)
        ],
    }
    facts = {
        "new images": f"{len(order.new):,}",
        "exemplars": f"{len(order.memory):,}",
        "batch": f"{order.new_slots}"
        + (f" + {order.batch - order.new_slots}" if order.new_slots < order.batch else ""),
        "iterations": f"{job.iterations:,}",
        "crop": f"{settings.recipe.crop} px",
        "seed": f"{settings.seed}",
    }
    html: str = page_template("samples.html.j2").render(
        title=f"What step {job.step} is trained on: {_few(job.class_names)}",
        run=RunName.of(settings).with_seed(settings.seed),
        shown=count(len(samples), "sample"),
        batches=count(samples[-1].iteration + 1, "batch", "batches"),
        facts=facts,
        left_out=[_with_code(sentence) for sentence in left_out],
        alone="" if settings.method.adds_pseudo_labels or not job.step else settings.method.name,
        completed=bool(completed),
        exemplars=any(one.exemplar for one in samples),
        legend=[one for one in _with_shares(legend, annotated, completed) if one["samples"] or one["kind"] == _NEW],
        data=within_script(data),
        css=page_asset("page.css", "samples.css"),
        script=page_asset("pictures.js", "samples.js"),
    )
    return html


def _few(names: Sequence[str]) -> str:
    """The names, or the first ones of many and their number."""
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{', '.join(names[:3])}, … ({len(names)} classes)"


def _with_code(sentence: str) -> Markup:
    """A sentence as HTML; what stands between backticks is code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(sentence))))


def _legend(labels: LabelSpace, index: ImageIndex, palette: Sequence[Colour]) -> list[_Label]:
    """All labels that a target of the step can hold."""
    unknown = [_Label(UNKNOWN_ID, "unknown", hex_colour(_UNKNOWN_COLOUR), "none of the classes")]
    return [
        *(unknown if labels.unknown else []),
        _Label(BACKGROUND_ID, BACKGROUND_NAME, hex_colour(palette[BACKGROUND_ID]), ""),
        *(
            _Label(
                class_id,
                index.class_name(class_id),
                hex_colour(palette[class_id]),
                _NEW if class_id in labels.groups[-1] else _OLD,
            )
            for class_id in (*labels.groups[-1], *(one for group in labels.groups[:-1] for one in group))
        ),
        _Label(VOID, "void", hex_colour(VOID_COLOUR), "in no loss: void, and what a crop adds around an image"),
    ]


def page_ids(labels: LabelSpace, target: Tensor) -> NDArray[np.uint8]:
    """A target, uint8 (S, S), as dataset ids and UNKNOWN_ID."""
    table = torch.full((256,), VOID, dtype=torch.uint8)
    table[labels.background_channel] = BACKGROUND_ID
    if labels.unknown:
        table[labels.unknown_channel] = UNKNOWN_ID
    for class_id in labels.classes:
        table[labels.channel_of(class_id)] = class_id
    return table[target.long()].numpy()


def _sample(
    one: TrainingSample,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8] | None,
    labels: LabelSpace,
    index: ImageIndex,
) -> dict[str, Any]:
    """What html/samples.js reads of a sample."""
    new = set(labels.groups[-1])
    annotated = "" if set(one.item.annotated) == new else ", ".join(map(index.class_name, one.item.annotated))
    return {
        "id": one.item.id,
        "place": f"iteration {one.iteration + 1}, slot {one.slot + 1}",
        "exemplar": one.exemplar,
        "annotated": annotated,
        "side": before.shape[0],
        "image": inline_pixels(one.image.permute(1, 2, 0).numpy()),
        "masks": inline_masks([before] if after is None else [before, after]),
    }


def _with_shares(
    legend: Sequence[_Label], annotated: Sequence[NDArray[np.uint8]], completed: Sequence[NDArray[np.uint8]]
) -> list[Mapping[str, Any]]:
    """The labels, each with the number of samples that show it and its share of all pixels, 0..1."""
    shown = completed or annotated
    before, after = _shares(annotated), _shares(shown)
    return [
        vars(one)
        | {
            "samples": sum(bool((mask == one.id).any()) for mask in shown),
            "annotated": before[one.id],
            "trained": after[one.id],
        }
        for one in legend
    ]


def _shares(masks: Sequence[NDArray[np.uint8]]) -> list[float]:
    pixels = np.bincount(np.concatenate([mask.ravel() for mask in masks]), minlength=256)
    shares: list[float] = (pixels / pixels.sum()).tolist()
    return shares
