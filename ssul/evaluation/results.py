"""What an evaluation writes: scores of all steps so far, the confusion matrix, and some predicted images.

    results.json    dataset, class names, one row of scores a step, the confusion matrix
    pictures/       see `ssul.evaluation.examples`

Every step's folder carries the rows and images of the steps before it. A reader never searches for the files of other
steps, because a longer scenario may have left some there.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ssul.evaluation.scores import Scores
from ssul.io.strict_json import check_consistent, read_json


@dataclass(frozen=True)
class Results:
    """The scores of a run up to some step.

    Attributes:
        data_set: its name.
        has_background: whether it has a background that is a class of its own.
        names: background and the classes learned so far, in learning order.
        group_sizes: number of classes that each step learned.
        images: number of validation images.
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
        path = folder / "results.json"
        message = {"what": "the evaluation", "way_out": "run `dvc repro`"}
        results = read_json(path, cls, **message)
        names, keys = results.names, {one.name for one in fields(Scores)}
        faults = {
            "names does not fit group_sizes": len(names) != 1 + sum(results.group_sizes),
            "a name is there twice": len(set(names)) < len(names),
            "there is no step, or not a row for each": not 0 < len(results.rows) == len(results.group_sizes),
            "a row is no step's scores": any(row.keys() != keys for row in results.rows),
            "the confusion matrix does not fit the names": [len(row) for row in results.confusion]
            != [len(names)] * len(names),
            "a number of pixels is below 0": any(count < 0 for row in results.confusion for count in row),
        }
        check_consistent(path, faults, **message)
        return results
