"""The training data of each step: the classes that it learns, and the ids of its images."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.io.strict_json import check_consistent, read_json
from ssul.scenario.scenario import Scenario, Setting, partition, step_images


@dataclass(frozen=True)
class Split:
    """The training data of one step.

    It contains no scenario name and nothing of later steps. So 15-1 and 15-5 share step 0 byte for byte, and DVC's run
    cache shares the trained base.

    Attributes:
        step: its index.
        groups: the class ids that each step up to this one learned, in learning order.
        class_names: the names of these classes, in the same order, flat.
        images: ids of the training images; at step 0 there may be none, where a checkpoint takes its place.
        holdout: ids of the images that this step and those before it would train on, had they not been held out.
    """

    step: int
    groups: tuple[tuple[int, ...], ...]
    class_names: tuple[str, ...]
    images: tuple[str, ...]
    holdout: tuple[str, ...]

    @property
    def new(self) -> tuple[int, ...]:
        """The classes that this step learns."""
        return self.groups[-1]

    @property
    def new_names(self) -> tuple[str, ...]:
        """The names of the classes that this step learns."""
        return self.class_names[-len(self.new) :]

    @property
    def old(self) -> tuple[int, ...]:
        """The classes learned before, in learning order."""
        return tuple(class_id for group in self.groups[:-1] for class_id in group)

    def write(self, path: Path) -> None:
        """Writes the split as JSON, byte-identical for the same content."""
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in asdict(self).items())
        write_text(path, f"{{\n{lines}\n}}\n")

    @classmethod
    def read(cls, path: Path) -> "Split":
        """Reads what `write` wrote.

        Raises:
            UserError: if the file is missing or damaged.
        """
        context = {"what": "the split", "way_out": "run `dvc repro splits`"}
        split = read_json(path, cls, **context)
        classes = [class_id for group in split.groups for class_id in group]
        faults = {
            "step does not fit the groups": split.step != len(split.groups) - 1,
            "a group is empty": not all(split.groups),
            "a class is repeated or below 1": len(set(classes)) < len(classes) or min(classes, default=0) < 1,
            "class_names does not fit the groups": len(split.class_names) != len(classes),
            "it repeats an image": len(split.images) > len(set(split.images)),
            "it has no image": not split.images and split.step > 0,
        }
        check_consistent(path, faults, **context)
        return split


def make_splits(
    present: Mapping[str, Sequence[int]],
    scenario: Scenario,
    setting: Setting,
    *,
    names: Sequence[str],
    seed: int,
    known: int = 0,
    holdout: float = 0.0,
    holdout_seed: int = 0,
) -> list[Split]:
    """The splits of all steps.

    Args:
        present: training image id -> ids of the classes that its mask shows.
        scenario: the classes of each step.
        setting: decides which images belong to a step.
        names: of the classes by id, from 1.
        seed: decides the partitioned setting's assignment.
        known: how many of the classes a network knows already; where they are step 0, it needs no images.
        holdout: the probability, 0..1, with which each image by itself is held out, so that no step trains on it.
        holdout_seed: decides which; not the run's seed, so that all runs hold out the same images.

    Raises:
        UserError: if a step has no image to train on.
    """
    splits = []
    held_out_ids: dict[str, None] = {}  # a set with an order
    shown, rule = present, setting
    if setting == "partitioned":  # drawn once for all steps: an image then counts as showing its class alone
        shown, rule = {one: (class_id,) for one, class_id in partition(present, seed).items()}, "overlapped"
    for step in scenario.steps:
        belonging = step_images(shown, step, rule, seed)
        held_out = dict.fromkeys(one for one in belonging if is_held_out(one, holdout, holdout_seed))
        images = [image_id for image_id in belonging if image_id not in held_out]
        held_out_ids |= held_out
        if not images and (step.index or not known):
            new = ", ".join(names[class_id - 1] for class_id in step.new)
            if belonging:
                raise UserError(
                    f"step {step.index} has no training image: data.holdout holds out all {len(belonging)} that show "
                    f"{new}; choose a smaller share, or add images"
                )
            raise UserError(
                f"step {step.index} has no training image: none shows {new} in the {setting} setting; choose another "
                "setting or scenario, or add images"
            )
        splits.append(
            Split(
                step=step.index,
                groups=tuple(past.new for past in scenario.steps[: step.index + 1]),
                class_names=tuple(names[class_id - 1] for class_id in step.seen),
                images=tuple(images),
                holdout=tuple(held_out_ids),
            )
        )
    return splits


def is_held_out(image_id: str, share: float, seed: int) -> bool:
    """Whether an image is held out of training. It depends on the image and the seed alone, not on the step."""
    digest = hashlib.sha256(f"{seed}/holdout/{image_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
