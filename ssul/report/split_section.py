"""The page's section on the training data: which images each step learned from, and which were left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssul.report.markdown import count, details, markdown, paragraphs
from ssul.report.tables import markdown_split_classes, markdown_split_steps
from ssul.scenario.scenario import Setting
from ssul.scenario.splits import Split


def summarise(splits: Sequence[Split], present: Mapping[str, Sequence[int]], setting: Setting) -> dict[str, Any]:
    """What a person wants to know of the splits, as JSON.

    Args:
        splits: of all steps.
        present: training image id -> ids of the classes that its mask shows.
        setting: as the splits were made in.

    Returns:
        `setting`; `images` of the data set and how many of them belong to `no_step`; and `steps`, each with its `step`,
        its `images`, how many of those `appear_again` in a later step, how many images were `held_out` so far, and its
        `classes`: each a `name`, the number of `images` of the step that show it, and of images of `other_steps` that
        show it too, where it is not annotated.
    """
    used = [set(split.images) for split in splits]
    later: list[set[str]] = [set().union(*used[position + 1 :]) for position in range(len(used))]
    shows = {
        class_id: {image_id for image_id, classes in present.items() if class_id in classes}
        for class_id in (class_id for split in splits for class_id in split.new)
    }
    return {
        "setting": setting,
        "images": len(present),
        "no_step": len(present) - len(set().union(*used) | set(splits[-1].holdout)),
        "steps": [
            {
                "step": split.step,
                "images": len(split.images),
                "appear_again": len(used[position] & later[position]),
                "held_out": len(split.holdout),
                "classes": [
                    {
                        "name": name,
                        "images": len(shows[class_id] & used[position]),
                        "other_steps": len(shows[class_id] & set().union(*used[:position], *used[position + 1 :])),
                    }
                    for class_id, name in zip(split.new, split.new_names, strict=True)
                ],
            }
            for position, split in enumerate(splits)
        ],
    }


def text_summary(summary: Mapping[str, Any]) -> str:
    """What `summarise` returns as lines of text: a step each, and the images that no step uses."""
    held_out = summary["steps"][-1]["held_out"]
    lines = [
        f"step {step['step']:2d}: {step['images']:6d} images for {_few([one['name'] for one in step['classes']])}"
        + (f" ({step['appear_again']} appear again later)" if step["appear_again"] else "")
        for step in summary["steps"]
    ]
    kept_back = f", {held_out} are held out" if held_out else ""
    return "\n".join([*lines, f"{summary['no_step']} of {summary['images']} images are in no step{kept_back}"])


def _few(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:8])}, ... ({len(names)} classes)"


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
        summary: as `ssul.report.split_section.summarise` makes it.
        train_skipped, val_skipped: what is wrong with images that could not be used, by their ids.
    """
    steps = summary["steps"]
    return paragraphs(
        f"Setting **{summary['setting']}**: {_SETTINGS[summary['setting']]}.",
        markdown_split_steps(steps),
        _no_step(summary["no_step"], steps[-1]["held_out"], summary["images"]),
        details("The training images of each class", markdown_split_classes(steps)),
        _skipped(train_skipped, val_skipped),
    )


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
