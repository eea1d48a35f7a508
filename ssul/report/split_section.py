"""The page's section on the training data: the images of each step, and those that were left out."""

from collections.abc import Mapping
from typing import Any

from ssul.report.markdown import count, details, markdown, paragraphs
from ssul.report.tables import markdown_split_classes, markdown_split_steps
from ssul.scenario.summary import warning_of

_SETTINGS = {
    "overlapped": "a step learns from every image that shows one of its classes; the image's other classes, those of "
    "earlier and of later steps, are not annotated",
    "disjoint": "a step learns from the images that show one of its classes and none of a later step; the image's "
    "classes of earlier steps are not annotated",
    "partitioned": "each image belongs to one of the classes that it shows, drawn at random, and so to one step alone; "
    "the image's classes of other steps are not annotated",
}
_MAX_NAMED = 8


def split_section(
    summary: Mapping[str, Any], *, train_skipped: Mapping[str, str], val_skipped: Mapping[str, str]
) -> str:
    """The section as Markdown, without its heading.

    Args:
        summary: as `ssul.scenario.summary.summarise` makes it.
        train_skipped, val_skipped: id -> problem of each image that could not be used.
    """
    steps = summary["steps"]
    return paragraphs(
        f"Setting **{summary['setting']}**: {_SETTINGS[summary['setting']]}.",
        markdown_split_steps(steps),
        _warning(summary),
        _no_step(summary["no_step"], steps[-1]["held_out"], summary["images"]),
        details("The training images of each class", markdown_split_classes(steps)),
        _skipped(train_skipped, val_skipped),
    )


def _warning(summary: Mapping[str, Any]) -> str:
    warning = warning_of(summary)
    return f"**Warning**: {markdown(warning)}." if warning else ""


def _no_step(unused: int, held_out: int, images: int) -> str:
    belong = "belongs" if unused == 1 else "belong"
    kept_back = f"{held_out} {'is' if held_out == 1 else 'are'} held out (`data.holdout`)"
    whole = f"Of the {count(images, 'training image')}"
    if unused and held_out:
        return f"{whole} {unused} {belong} to no step and so teach nothing, and {kept_back}."
    if unused:
        return f"{whole} {unused} {belong} to no step and so teach nothing."
    if held_out:
        return f"{whole} {kept_back}; every one of the other {images - held_out} belongs to a step."
    return f"Every one of the {count(images, 'training image')} belongs to a step."


def _skipped(train: Mapping[str, str], val: Mapping[str, str]) -> str:
    reasons = [*train.items(), *val.items()]
    if not reasons:
        return ""
    named = "; ".join(f"{markdown(image_id)}: {markdown(what)}" for image_id, what in reasons[:_MAX_NAMED])
    more = len(reasons) - _MAX_NAMED
    return (
        f"{len(train)} training and {count(len(val), 'validation image')} could not be used and were left out "
        f"(`data.on_error=skip`): {named}{f'; and {more} more' if more > 0 else ''}."
    )
