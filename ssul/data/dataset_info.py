"""The palette of a dataset and its skipped images, for evaluation and report.

They have a file of their own, because another colour or another reason to skip an image must not retrain anything.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.io.strict_json import read_json
from ssul.labels.colours import Colour, is_colour


@dataclass(frozen=True)
class DatasetInfo:
    """The colours of a dataset, and its images that were left out.

    Attributes:
        palette: RGB of the background and of each class.
        train_skipped, val_skipped: id -> problem of each image of a split that was left out because `data.on_error`
            is `skip`.
    """

    palette: tuple[Colour, ...]
    train_skipped: dict[str, str]
    val_skipped: dict[str, str]

    def write(self, path: Path) -> None:
        """Writes it as JSON, byte-identical for the same content."""
        write_text(path, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> "DatasetInfo":
        """Reads what `write` wrote.

        Raises:
            UserError: if the file is missing or damaged.
        """
        info = read_json(path, cls, what="what is known of the dataset,", way_out="run `dvc repro prepare`")
        if not all(map(is_colour, info.palette)):
            raise UserError(f"{path} is damaged (a colour is not in 0..255): run `dvc repro prepare`")
        return info
