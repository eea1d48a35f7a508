"""What a checkpoint does not hold, because no weight depends on it: colours, and whether a background is predicted."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from ssul.config.paths import Layout
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.datasets.catalog import CATALOG
from ssul.io.atomic import write_json
from ssul.io.strict_json import check_consistent, read_json
from ssul.labels.colours import Colour, is_colour, voc_colours
from ssul.labels.ids import VOID

LOOK = "look.json"
"""The file beside a checkpoint in MLflow."""
_STEP = re.compile(r"step_(\d+)")


@dataclass(frozen=True)
class Look:
    """How predictions look.

    Attributes:
        palette: RGB 0..255 of the background and of each class, by dataset id.
        background: whether the data have a background, so that one is predicted.
    """

    palette: tuple[Colour, ...]
    background: bool

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        write_json(path, asdict(self))


def look_of(checkpoint: Path, names: dict[int, str]) -> Look:
    """How the predictions of a checkpoint look.

    The project that the checkpoint lies in knows it, and a file beside it in MLflow. Elsewhere the catalog
    does, if a dataset has these classes. Else they get the colours of Pascal VOC, and a background.

    Args:
        checkpoint: its folder.
        names: of its classes by dataset id, without the background.

    Raises:
        UserError: if the file that knows it is damaged.
    """
    if (checkpoint / LOOK).is_file():
        return _stored(checkpoint / LOOK, names)
    return _of_project(checkpoint, names) or _of_catalog(names) or Look(voc_colours(1 + max(names)), background=True)


def _stored(path: Path, names: dict[int, str]) -> Look:
    wording = {"what": "the look of a checkpoint,", "way_out": "delete it, which changes no prediction of classes"}
    look = read_json(path, Look, **wording)
    faults = {
        "a colour is not in 0..255": not all(map(is_colour, look.palette)),
        "it is not a colour for each class": not max(names) < len(look.palette) <= VOID,
    }
    check_consistent(path, faults, **wording)
    return look


def _of_project(checkpoint: Path, names: dict[int, str]) -> Look | None:
    place = checkpoint.resolve()
    step = _STEP.fullmatch(place.name)
    if step is None or len(place.parents) < 3:
        return None
    layout = Layout(place.parents[2])
    known = (layout.dataset_info, layout.index("val"))
    if layout.checkpoint(int(step[1])) != place or not all(path.is_file() for path in known):
        return None
    palette, index = DatasetInfo.read(known[0]).palette, ImageIndex.read(known[1])
    if not _agree(names, index.class_names) or len(palette) <= len(index.class_names):
        return None  # the folder's data have changed since
    return Look(palette, index.values.background)


def _of_catalog(names: dict[int, str]) -> Look | None:
    specs = (spec for spec in CATALOG.values() if _agree(names, spec.classes))
    return next((Look(spec.palette, spec.values.background) for spec in specs), None)


def _agree(names: dict[int, str], classes: tuple[str, ...]) -> bool:
    return all(1 <= class_id <= len(classes) and classes[class_id - 1] == name for class_id, name in names.items())
