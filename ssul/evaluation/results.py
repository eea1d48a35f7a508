"""What an evaluation leaves on disk: scores of all steps so far, the confusion matrix, and some predicted pictures.

    results.json                    data set, class names, one row of scores a step, the confusion matrix
    pictures/ID/image.jpg           the image
    pictures/ID/truth.png           palette PNG of data set ids: all classes, learned or not
    pictures/ID/step_K.png          the same of the prediction after step K

Every step's folder carries the rows and pictures of the steps before it, so that nobody has to look for the files of
other steps, of which a longer scenario may have left some behind.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ssul.catalog import VOID_COLOUR, Colour
from ssul.data.index import ImageIndex
from ssul.errors import UserError
from ssul.labels import VOID


@dataclass(frozen=True)
class Results:
    """The scores of a run up to some step.

    Attributes:
        data_set: its name.
        names: background and the classes learned so far, in learning order.
        group_sizes: number of classes that each step learned.
        images: number of validation images.
        rows: one `Scores` as a dict for each step.
        confusion: of the last step, over `names`.
    """

    data_set: str
    names: tuple[str, ...]
    group_sizes: tuple[int, ...]
    images: int
    rows: tuple[dict[str, Any], ...]
    confusion: tuple[tuple[int, ...], ...]

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
            names=tuple(content["names"]),
            group_sizes=tuple(content["group_sizes"]),
            images=content["images"],
            rows=tuple(content["rows"]),
            confusion=tuple(tuple(row) for row in content["confusion"]),
        )


def choose_pictures(index: ImageIndex, count: int) -> list[str]:
    """Which validation images are kept as pictures: greedily those that show most classes not yet shown often.

    The choice depends on the index alone, so that all steps and all experiments show the same pictures.
    """
    shown: dict[int, int] = {}
    chosen: list[str] = []
    rows = {row.id: row.present for row in index.rows}
    while rows and len(chosen) < count:
        best = max(rows, key=lambda image_id: (sum(1.0 / (1 + 4 * shown.get(c, 0)) for c in rows[image_id]), image_id))
        for class_id in rows.pop(best):
            shown[class_id] = shown.get(class_id, 0) + 1
        chosen.append(best)
    return chosen


def save_labels(path: Path, labels: Tensor, palette: Sequence[Colour]) -> None:
    """Writes data set ids uint8 (H, W) as a palette PNG.

    Args:
        path: the file.
        labels: 0 background, 1.. classes, VOID.
        palette: RGB 0..255 for each id from 0; void gets VOC's cream.
    """
    colours = [*palette, *[(0, 0, 0)] * (VOID - len(palette)), VOID_COLOUR]
    picture = Image.fromarray(labels.numpy())
    picture.putpalette([channel for colour in colours for channel in colour])
    picture.save(path)
