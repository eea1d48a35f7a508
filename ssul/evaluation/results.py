"""What an evaluation writes: scores of all steps so far, confusion, what is kept of each image, and examples.

    results.json         dataset, class names, one row of scores a step, the confusion matrix
    image_counts.json    of this step alone, see `ssul.evaluation.image_counts`
    masks.zip            of this step alone, see `ssul.evaluation.small_masks`
    examples/            see `ssul.evaluation.examples`

Every step's folder carries the rows and images of the steps before it. A reader never searches for the files of other
steps, because a longer scenario may have left some there.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssul.io.strict_json import read_json


@dataclass(frozen=True)
class Results:
    """The scores of a run up to some step.

    Attributes:
        data_set: its name.
        has_background: whether it has a background that is a class of its own.
        names: the classes learned so far, in learning order; the background first where it is counted, see
            `ssul.labels.background`.
        group_sizes: number of classes that each step learned.
        images: number of validation images that were scored after the last step, see `Protocol.scored`.
        rows: one `Scores` as a dict for each step.
        confusion: of the last step, over `names`.
        training: `ssul.training.history.TrainingHistory` as a dict for each step that was trained.
    """

    data_set: str
    has_background: bool
    names: tuple[str, ...]
    group_sizes: tuple[int, ...]
    images: int
    rows: tuple[dict[str, Any], ...]
    confusion: tuple[tuple[int, ...], ...]
    training: tuple[dict[str, Any], ...] = ()

    def write(self, folder: Path) -> None:
        """Writes results.json into an evaluation folder."""
        (folder / "results.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """Reads what `write` wrote.

        Raises:
            UserError: if it is missing or damaged.
        """
        return read_json(folder / "results.json", cls, what="the evaluation", way_out="run `dvc repro`")
