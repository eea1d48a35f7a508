"""What an evaluation leaves on disk: scores of all steps so far, the confusion matrix, and some predicted pictures.

    results.json    data set, class names, one row of scores a step, the confusion matrix
    pictures/       see `ssul.evaluation.pictures`

Every step's folder carries the rows and pictures of the steps before it, so that nobody has to look for the files of
other steps, of which a longer scenario may have left some behind.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssul.errors import UserError


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
        training: `ssul.training.curve.Curve` as a dict for each step that was trained.
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
            UserError: if it is missing.
        """
        path = folder / "results.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"the evaluation {path} is missing: run `dvc repro`") from None
        return cls(
            data_set=content["data_set"],
            has_background=content["has_background"],
            names=tuple(content["names"]),
            group_sizes=tuple(content["group_sizes"]),
            images=content["images"],
            rows=tuple(content["rows"]),
            confusion=tuple(tuple(row) for row in content["confusion"]),
            training=tuple(content["training"]),
        )
