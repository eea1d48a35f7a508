"""How many images each step and class has."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssul.scenario.scenario import Scenario, Setting
from ssul.scenario.splits import Split


def summarise(
    splits: Sequence[Split], present: Mapping[str, Sequence[int]], setting: Setting, *, known: int = 0
) -> dict[str, Any]:
    """The splits in numbers, as JSON.

    Args:
        splits: of all steps.
        present: training image id -> ids of the classes that its mask shows.
        setting: of the splits.
        known: how many of the classes, by id, a network knows already.

    Returns:
        `setting`; `images` of the dataset and how many of them belong to `no_step`; and `steps`, each with its `step`,
        its `images`, how many of those `appear_again` in a later step, how many images were `held_out` so far, and its
        `classes`: each a `name`, the number of `images` of the step that show it, and of images of `other_steps` that
        show it too, where it is not annotated; a class that is known already is marked as `known`.
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
                        **({"known": True} if class_id <= known else {}),
                    }
                    for class_id, name in zip(split.new, split.new_names, strict=True)
                ],
            }
            for position, split in enumerate(splits)
        ],
    }


def warning_of(summary: Mapping[str, Any]) -> str | None:
    """A line about the classes that no training image of their step shows; None if there are none.

    Such a class cannot be learned, although its step has images of other classes.
    """
    lacking = {
        step["step"]: names
        for step in summary["steps"]
        if (names := [one["name"] for one in step["classes"] if not one["images"] and "known" not in one])
    }
    if not lacking:
        return None
    where = ", and none of ".join(f"step {step} shows {_few(names)}" for step, names in lacking.items())
    return (
        f"no training image of {where} in the {summary['setting']} setting. These classes cannot be learned: "
        + _way_out(summary)
    )


def never_learned(scenario: Scenario, names: Sequence[str]) -> str | None:
    """A line about the classes that `scenario.order` leaves out; None if it has all.

    Args:
        scenario: its order.
        names: of the dataset's classes; the position, from 1, is the id.
    """
    left_out = [name for class_id, name in enumerate(names, start=1) if class_id not in scenario.order]
    return f"never learned, because scenario.order leaves them out: {_few(left_out)}" if left_out else None


def text_summary(summary: Mapping[str, Any], *remarks: str | None) -> str:
    """The output of `summarise` as text: one line for each step, one for the images in no step, and the remarks.

    Args:
        summary: of the splits.
        remarks: further lines.
    """
    held_out = summary["steps"][-1]["held_out"]
    lines = [
        f"step {step['step']:2d}: {step['images']:6d} images for {_few([one['name'] for one in step['classes']])}"
        + (f" ({step['appear_again']} appear again later)" if step["appear_again"] else "")
        for step in summary["steps"]
    ]
    held_back = f", {held_out} are held out" if held_out else ""
    no_step = f"{summary['no_step']} of {summary['images']} images are in no step{held_back}"
    return "\n".join([*lines, no_step, *filter(None, remarks)])


def _few(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:8])}, ... ({len(names)} classes)"


def _way_out(summary: Mapping[str, Any]) -> str:
    ways = []
    if summary["setting"] != "overlapped":  # where every image that shows a class belongs to its step
        ways.append("another setting or scenario.order")
    if summary["steps"][-1]["held_out"]:
        ways.append("a smaller data.holdout")
    return f"choose {', '.join(ways)}, or add images" if ways else "add images that show them"
